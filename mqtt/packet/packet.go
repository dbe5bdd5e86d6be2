// Package packet reads and writes MQTT control packets of versions 3.1, 3.1.1 and 5.0.
//
// It is bytes only: no I/O, no goroutines, no state between packets.
//
//	bytes ─Frame→ one packet's bytes ─Decode→ struct ─Append→ bytes
//
// Each control packet has its file: the struct, Decode, Append and the rules of that packet alone. What
// Decode accepts keeps every rule that one packet can show; what depends on the connection (who sent
// it, what was agreed on, which packets came before) and the grammar of topic filters are checked elsewhere.
//
// Errors are *Error values and carry the reason code a server answers with.
//
// [MQTT-3.3.1-4] cites a normative statement of MQTT 5.0, [MQTT311-3.3.1-4] one of 3.1.1, which numbers them
// otherwise. 3.1 has none; it is read leniently where it calls bits "not used".
package packet

import "fmt"

// Version is the protocol level of the CONNECT variable header.
type Version byte

const (
	V31  Version = 3 // "MQIsdp"
	V311 Version = 4
	V5   Version = 5
)

// Type is a control packet type, the high nibble of the first byte.
type Type byte

const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

// Packet is one control packet.
type Packet interface {
	Type() Type
	// Decode reads the packet from the flags (low nibble of the first byte) and the body that
	// follows the remaining length. Byte slices alias body; strings are copied. What the receiver
	// held before is overwritten. Errors are *Error.
	Decode(flags byte, body []byte, v Version) error
	// Append adds the whole packet, fixed header included, to dst; it does not allocate when dst has
	// room. Fields that v cannot carry are left out. What no version can carry, text of more than 65,535
	// bytes or a packet of more than MaxRemaining, is to be refused where it comes in: Append panics.
	Append(dst []byte, v Version) []byte
}

// Error is a packet that breaks the standard.
type Error struct {
	Reason ReasonCode // what a server answers in CONNACK or DISCONNECT
	Rule   string     // the normative statement, as "MQTT-3.3.1-4" or "MQTT311-3.1.2-22"; "" when there is none
	Detail string     // what was found and what was expected
}

func (e *Error) Error() string {
	if e.Rule == "" {
		return fmt.Sprintf("%v: %s", e.Reason, e.Detail)
	}
	return fmt.Sprintf("%v: %s [%s]", e.Reason, e.Detail, e.Rule)
}
