package pubsub

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mangrove/mqtt/packet"
)

// Received is one message as sub prints it.
type Received struct {
	Topic    string
	Payload  []byte
	QoS      byte
	Retain   bool
	Dup      bool
	PacketID uint16
	Props    *packet.Properties
	At       time.Time
}

// Format is a compiled -F text: literal pieces and fields.
type Format []piece

// piece appends its part of one message.
type piece func(dst []byte, m *Received) []byte

// ParseFormat compiles -F as mosquitto_sub has it: %t and the like with an optional width and precision, @Y and
// the like for the time of arrival, \n and the like.
func ParseFormat(s string) (Format, error) {
	var f Format
	for s != "" {
		i := strings.IndexAny(s, `%@\`)
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			f = append(f, literal(s[:i]))
			s = s[i:]
			continue
		}
		p, rest, err := parsePiece(s)
		if err != nil {
			return nil, err
		}
		f, s = append(f, p), rest
	}
	return f, nil
}

// Append adds m, formatted, to dst.
func (f Format) Append(dst []byte, m *Received) []byte {
	for _, p := range f {
		dst = p(dst, m)
	}
	return dst
}

func literal(s string) piece {
	return func(dst []byte, _ *Received) []byte { return append(dst, s...) }
}

// parsePiece reads what starts with %, @ or \ at the beginning of s.
func parsePiece(s string) (piece, string, error) {
	if len(s) < 2 {
		return nil, "", fmt.Errorf("format ends with a single %q", s)
	}
	switch s[0] {
	case '\\':
		p, err := escape(s[1])
		return p, s[2:], err
	case '@':
		p, err := clock(s[1])
		return p, s[2:], err
	}
	lay, rest := parseLayout(s[1:])
	if rest == "" {
		return nil, "", fmt.Errorf("format %q ends before its letter", s)
	}
	field, ok := fields[rest[0]]
	if !ok {
		return nil, "", fmt.Errorf("format has no field %%%c", rest[0])
	}
	return lay.wrap(field), rest[1:], nil
}

func escape(c byte) (piece, error) {
	i := strings.IndexByte(`\0aenrtv`, c)
	if i < 0 {
		return nil, fmt.Errorf(`format has no escape \%c`, c)
	}
	return literal("\\\x00\a\x1b\n\r\t\v"[i : i+1]), nil
}

// layouts are the strftime letters after @.
var layouts = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'j': "002", 'p': "PM", 'z': "-0700", 'Z': "MST",
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006",
}

func clock(c byte) (piece, error) {
	switch c {
	case '@':
		return literal("@"), nil
	case 's':
		return func(dst []byte, m *Received) []byte { return strconv.AppendInt(dst, m.At.Unix(), 10) }, nil
	case 'N':
		return func(dst []byte, m *Received) []byte { return fmt.Appendf(dst, "%09d", m.At.Nanosecond()) }, nil
	}
	layout, ok := layouts[c]
	if !ok {
		return nil, fmt.Errorf("format has no time field @%c", c)
	}
	return func(dst []byte, m *Received) []byte { return m.At.AppendFormat(dst, layout) }, nil
}

// fields are the letters after %.
var fields = map[byte]piece{
	'%': literal("%"),
	't': func(dst []byte, m *Received) []byte { return append(dst, m.Topic...) },
	'p': func(dst []byte, m *Received) []byte { return append(dst, m.Payload...) },
	'l': func(dst []byte, m *Received) []byte { return strconv.AppendInt(dst, int64(len(m.Payload)), 10) },
	'q': func(dst []byte, m *Received) []byte { return strconv.AppendUint(dst, uint64(m.QoS), 10) },
	'r': func(dst []byte, m *Received) []byte { return append(dst, bit(m.Retain)) },
	'd': func(dst []byte, m *Received) []byte { return append(dst, bit(m.Dup)) },
	'm': func(dst []byte, m *Received) []byte { return strconv.AppendUint(dst, uint64(m.PacketID), 10) },
	'x': func(dst []byte, m *Received) []byte { return hex.AppendEncode(dst, m.Payload) },
	'X': func(dst []byte, m *Received) []byte {
		return append(dst, strings.ToUpper(hex.EncodeToString(m.Payload))...)
	},
	'b': func(dst []byte, m *Received) []byte { return base64.StdEncoding.AppendEncode(dst, m.Payload) },
	'j': func(dst []byte, m *Received) []byte { return appendJSON(dst, m, quoted(m.Payload)) },
	'J': func(dst []byte, m *Received) []byte { return appendJSON(dst, m, embedded(m.Payload)) },
	'I': func(dst []byte, m *Received) []byte { return m.At.AppendFormat(dst, "2006-01-02T15:04:05-0700") },
	'U': func(dst []byte, m *Received) []byte {
		return fmt.Appendf(dst, "%d.%09d", m.At.Unix(), m.At.Nanosecond())
	},
	'C': ofProps(func(dst []byte, p *packet.Properties) []byte { return append(dst, p.ContentType...) }),
	'R': ofProps(func(dst []byte, p *packet.Properties) []byte { return append(dst, p.ResponseTopic...) }),
	'D': ofProps(func(dst []byte, p *packet.Properties) []byte { return append(dst, p.CorrelationData...) }),
	'E': ifMarked(packet.PropMessageExpiry, func(p *packet.Properties) uint64 { return uint64(p.MessageExpiry) }),
	'F': ifMarked(packet.PropPayloadFormat, func(p *packet.Properties) uint64 { return uint64(p.PayloadFormat) }),
	'A': ifMarked(packet.PropTopicAlias, func(p *packet.Properties) uint64 { return uint64(p.TopicAlias) }),
	'P': ofProps(appendUser),
	'S': ofProps(appendSubscriptionIDs),
}

func bit(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

// ofProps prints nothing for a message without properties.
func ofProps(fn func([]byte, *packet.Properties) []byte) piece {
	return func(dst []byte, m *Received) []byte {
		if m.Props == nil {
			return dst
		}
		return fn(dst, m.Props)
	}
}

func ifMarked(id packet.Property, get func(*packet.Properties) uint64) piece {
	return func(dst []byte, m *Received) []byte {
		if !m.Props.Has(id) {
			return dst
		}
		return strconv.AppendUint(dst, get(m.Props), 10)
	}
}

func appendUser(dst []byte, p *packet.Properties) []byte {
	for i, u := range p.User {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(append(append(dst, u.Name...), ':'), u.Value...)
	}
	return dst
}

func appendSubscriptionIDs(dst []byte, p *packet.Properties) []byte {
	for i, id := range p.SubscriptionIDs {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = strconv.AppendUint(dst, uint64(id), 10)
	}
	return dst
}

// layout is the width and precision between % and the letter.
type layout struct {
	left, zero       bool
	width, precision int // precision < 0 = whole
}

func parseLayout(s string) (layout, string) {
	l := layout{precision: -1}
	for ; s != "" && (s[0] == '-' || s[0] == '0'); s = s[1:] {
		l.left = l.left || s[0] == '-'
		l.zero = l.zero || s[0] == '0'
	}
	l.width, s = parseNumber(s)
	if s != "" && s[0] == '.' {
		l.precision, s = parseNumber(s[1:])
	}
	return l, s
}

// maxWidth bounds a field's width and precision; more is taken as that.
const maxWidth = 10_000

func parseNumber(s string) (n int, rest string) {
	for s != "" && s[0] >= '0' && s[0] <= '9' {
		n = min(10*n+int(s[0]-'0'), maxWidth)
		s = s[1:]
	}
	return n, s
}

// wrap cuts and pads what p prints, counted in characters.
func (l layout) wrap(p piece) piece {
	if l.width == 0 && l.precision < 0 {
		return p
	}
	return func(dst []byte, m *Received) []byte {
		text := p(nil, m)
		if l.precision >= 0 {
			text = cut(text, l.precision)
		}
		fill := byte(' ')
		if l.zero && !l.left {
			fill = '0'
		}
		pad := bytes.Repeat([]byte{fill}, max(0, l.width-utf8.RuneCount(text)))
		if l.left {
			return append(append(dst, text...), pad...)
		}
		return append(append(dst, pad...), text...)
	}
}

func cut(text []byte, n int) []byte {
	for i := range string(text) {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

// quoted is the payload as a JSON text; bytes that are no UTF-8 become U+FFFD.
func quoted(payload []byte) json.RawMessage {
	out, err := json.Marshal(string(payload))
	if err != nil {
		panic(fmt.Sprintf("BUG: encode a string: %v", err))
	}
	return out
}

// embedded is the payload itself where it is JSON, else a JSON text.
func embedded(payload []byte) json.RawMessage {
	if json.Valid(payload) {
		return payload
	}
	return quoted(payload)
}
