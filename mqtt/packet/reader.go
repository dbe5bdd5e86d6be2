package packet

import (
	"encoding/binary"
	"fmt"
)

// reader walks over a packet's body. The first failure stays in err and empties b, so that what
// is read after it is zero and a decoder needs to look once, at the end.
type reader struct {
	b   []byte
	err *Error
}

func (r *reader) fail(reason ReasonCode, rule, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Reason: reason, Rule: rule, Detail: fmt.Sprintf(format, args...)}
	}
	r.b = nil
}

func (r *reader) malformed(rule, format string, args ...any) {
	r.fail(MalformedPacket, rule, format, args...)
}

func (r *reader) protocol(rule, format string, args ...any) {
	r.fail(ProtocolError, rule, format, args...)
}

// end returns what went wrong, and finds a body that is longer than its content.
func (r *reader) end(t Type) error {
	if len(r.b) > 0 {
		r.malformed("", "%v: %d bytes after its end", t, len(r.b))
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

// take returns the next n bytes, still part of the body.
func (r *reader) take(n int, what string) []byte {
	if n > len(r.b) {
		r.malformed("", "%s: got %d bytes, want %d", what, len(r.b), n)
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint8(what string) byte {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16(what string) uint16 {
	if b := r.take(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// varint reads a Variable Byte Integer of MQTT 5.0, section 1.5.5.
func (r *reader) varint(what string) int {
	n, size, state := varint(r.b)
	switch {
	case state == varintShort:
		r.malformed("", "%s: integer cut off", what)
		return 0
	case state == varintLong:
		r.malformed("", "%s: integer of more than 4 bytes", what)
		return 0
	case size != varintSize(n): // [MQTT-1.5.5-1]
		r.malformed("MQTT-1.5.5-1", "%s: %d written in %d bytes, want %d", what, n, size, varintSize(n))
		return 0
	}
	r.b = r.b[size:]
	return n
}

// binary reads Binary Data: a two-byte length and as many bytes.
func (r *reader) binary(what string) []byte {
	return r.take(int(r.uint16(what)), what)
}

// packetID reads a Packet Identifier.
func (r *reader) packetID() uint16 {
	id := r.uint16("packet identifier")
	if id == 0 { // [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT311-2.3.1-1]
		r.protocol("MQTT-2.2.1-3", "packet identifier is 0")
	}
	return id
}

// flags checks the reserved bits of the first byte. In 3.1 they were "not used", except that
// what is answered carried QoS 1 and could carry DUP.
func (r *reader) flags(t Type, got, want byte, v Version, rule string) {
	if v == V31 {
		got &= 0x06 & want
	}
	if got != want { // [MQTT-2.1.3-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2]
		r.malformed(rule, "%v: reserved flags are %04b, want %04b", t, got, want)
	}
}
