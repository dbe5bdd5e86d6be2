package mqtt

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"mangrove/internal/bytesread"
	"mangrove/internal/hlc"
	"mangrove/mqtt/packet"
)

// A message at rest (body store, retained store):
//
//	flags       1  bit 0-1 QoS, bit 2 retain, bit 3 expires, bit 4 properties, bit 5 version
//	origin      uvarint store, uvarint seq
//	[expires    uvarint, Unix milliseconds]
//	[version    8, big-endian]
//	topic       uvarint length, bytes
//	[properties as in MQTT 5.0]
//	payload     uvarint length, bytes
//
// Whoever keeps a message that expires keeps its deadline beside it, in stored time: the one here is off once somebody
// sets the wall clock. Between nodes see wire_link.go. ID, From and Publisher belong to one node's present and are not written.
const (
	wireRetain  = 1 << 2
	wireExpires = 1 << 3
	wireProps   = 1 << 4
	wireVersion = 1 << 5
	wireLeft    = 1 << 6 // on links only
)

// messageProps is the set of properties a stored message may carry.
const messageProps = 1<<packet.PropPayloadFormat | 1<<packet.PropContentType | 1<<packet.PropResponseTopic |
	1<<packet.PropCorrelationData | 1<<packet.PropUser

var errShortMessage = errors.New("decode message: bytes end early")

// AppendMessage adds m's bytes to dst.
func AppendMessage(dst []byte, m *Message) []byte {
	flags := m.QoS
	if m.Retain {
		flags |= wireRetain
	}
	if !m.Expires.IsZero() {
		flags |= wireExpires
	}
	if m.Props != nil && m.Props.Set != 0 {
		flags |= wireProps
	}
	if m.Version != 0 {
		flags |= wireVersion
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, m.Origin.Life)
	dst = binary.AppendUvarint(dst, m.Origin.Seq)
	if flags&wireExpires != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.Expires.UnixMilli()))
	}
	if flags&wireVersion != 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(m.Version))
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.Topic)))
	dst = append(dst, m.Topic...)
	if flags&wireProps != 0 {
		dst = m.Props.Append(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.Payload)))
	return append(dst, m.Payload...)
}

// DecodeMessage reads one message at rest and returns the bytes after it. Payload and properties alias b.
func DecodeMessage(b []byte) (m *Message, rest []byte, err error) {
	if len(b) > 0 && b[0]&wireLeft != 0 {
		return nil, nil, errFlags
	}
	return decodeMessage(b, time.Time{})
}

var (
	errFlags   = errors.New("decode message: unknown flags")
	errVersion = errors.New("decode message: version out of range")
)

// decodeMessage reads one message at rest, or one from a link at now.
func decodeMessage(b []byte, now time.Time) (m *Message, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errShortMessage
	}
	flags := b[0]
	if flags&3 == 3 || flags > 0x7F || flags&wireExpires != 0 && flags&wireLeft != 0 {
		return nil, nil, errFlags
	}
	r := bytesread.New(b[1:])
	m = &Message{QoS: flags & 3, Retain: flags&wireRetain != 0}
	m.Origin = Origin{Life: r.Uvarint(), Seq: r.Uvarint()}
	switch {
	case flags&wireExpires != 0:
		m.Expires = time.UnixMilli(int64(r.Uvarint()))
	case flags&wireLeft != 0:
		m.Expires = now.Add(time.Duration(min(r.Uvarint(), maxLeft)) * time.Millisecond)
	}
	if flags&wireVersion != 0 {
		m.Version = hlc.Time(r.Uint64())
		if valid := m.Version.Valid() && (now.IsZero() || m.Version.MayCome(now.UnixMilli())); r.Err() == nil && !valid {
			return nil, nil, errVersion
		}
	}
	m.Topic = string(r.Prefixed(math.MaxInt))
	if flags&wireProps != 0 && r.Err() == nil {
		if m.Props, rest, err = packet.DecodeProperties(r.Rest(), messageProps); err != nil {
			return nil, nil, err
		}
		r.Resume(rest)
	}
	m.Payload = r.Prefixed(math.MaxInt)
	if r.Err() != nil {
		return nil, nil, errShortMessage
	}
	return m, r.Rest(), nil
}
