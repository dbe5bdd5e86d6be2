package packet

import "fmt"

// MaxRemaining is the greatest remaining length that four bytes can say.
const MaxRemaining = 268_435_455

// Frame looks for one whole packet at the start of b. It returns the packet's total size in
// bytes and its header size, or total 0 when more bytes are needed (header is then 0 too unless
// the size is already known: want, the total, is returned so that a reader can size its buffer).
// A malformed remaining length, or a total above max (0 = no bound), is an *Error.
//
//	 bit 7..4   3..0    1 to 4 bytes        remaining length bytes
//	┌────────┬────────┬──────────────────┬──────────────────────────┐
//	│  type  │ flags  │ remaining length │ body                     │
//	└────────┴────────┴──────────────────┴──────────────────────────┘
//	 ◄─────────── header ──────────────►
func Frame(b []byte, max uint32) (total, header, want int, err error) {
	if len(b) == 0 {
		return 0, 0, 0, nil
	}
	if b[0]>>4 == 0 {
		return 0, 0, 0, &Error{Reason: MalformedPacket, Detail: "packet type 0 is reserved"}
	}
	n, size, state := varint(b[1:])
	switch state {
	case varintShort:
		return 0, 0, 0, nil
	case varintLong:
		return 0, 0, 0, &Error{Reason: MalformedPacket, Detail: "remaining length of more than 4 bytes"}
	}
	header = 1 + size
	want = header + n
	if max > 0 && uint64(want) > uint64(max) {
		return 0, 0, 0, &Error{Reason: PacketTooLarge, Detail: fmt.Sprintf("got a packet of %d bytes, want at most %d", want, max)}
	}
	if len(b) < want {
		return 0, header, want, nil
	}
	return want, header, want, nil
}

// CheckHeader refuses a remaining length written in more bytes than it needs. Only 5.0 forbids
// that; some older clients always write four. header and total are what Frame returned.
func CheckHeader(header, total int, v Version) error {
	if need := 1 + varintSize(total-header); v == V5 && header != need { // [MQTT-1.5.5-1]
		return &Error{Reason: MalformedPacket, Rule: "MQTT-1.5.5-1",
			Detail: fmt.Sprintf("remaining length in %d bytes, want %d", header-1, need-1)}
	}
	return nil
}

// New returns an empty packet of type t to decode into, or nil for the reserved type 0.
func New(t Type) Packet {
	switch t {
	case CONNECT:
		return new(Connect)
	case CONNACK:
		return new(Connack)
	case PUBLISH:
		return new(Publish)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return &Ack{Kind: t}
	case SUBSCRIBE:
		return new(Subscribe)
	case SUBACK:
		return new(Suback)
	case UNSUBSCRIBE:
		return new(Unsubscribe)
	case UNSUBACK:
		return new(Unsuback)
	case PINGREQ:
		return new(Pingreq)
	case PINGRESP:
		return new(Pingresp)
	case DISCONNECT:
		return new(Disconnect)
	case AUTH:
		return new(Auth)
	}
	return nil
}

// Read decodes one whole packet as Frame found it.
func Read(frame []byte, v Version) (Packet, error) {
	total, header, _, err := Frame(frame, 0)
	if err != nil {
		return nil, err
	}
	if total != len(frame) || total == 0 {
		return nil, &Error{Reason: MalformedPacket, Detail: fmt.Sprintf("got %d bytes, want one whole packet", len(frame))}
	}
	p := New(Type(frame[0] >> 4))
	if err := p.Decode(frame[0]&0x0F, frame[header:], v); err != nil {
		return p, err
	}
	if c, ok := p.(*Connect); ok {
		v = c.Version
	}
	return p, CheckHeader(header, total, v)
}

type varintState byte

const (
	varintWhole varintState = iota
	varintShort             // more bytes are needed
	varintLong              // the fourth byte says there is a fifth
)

// varint reads a Variable Byte Integer: seven bits in a byte, least significant first.
func varint(b []byte) (n, size int, state varintState) {
	for i, c := range b {
		if i == 4 {
			return 0, 0, varintLong
		}
		n |= int(c&0x7F) << (7 * i)
		if c < 0x80 {
			return n, i + 1, varintWhole
		}
	}
	if len(b) >= 4 {
		return 0, 0, varintLong
	}
	return 0, 0, varintShort
}

func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}
