// Package packet reads and writes MQTT control packets of versions 3.1, 3.1.1 and 5.0.
//
// It is bytes only: no I/O, no goroutines, no state between packets.
//
//	bytes ─Frame→ one packet's bytes ─Decode→ struct ─Append→ bytes
//
// Errors are *Error values and carry the reason code a server answers with.
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
	// Append adds the whole packet, fixed header included, to dst. Fields that v cannot carry are
	// left out.
	Append(dst []byte, v Version) []byte
}

// Error is a packet that breaks the standard.
type Error struct {
	Reason ReasonCode // what a server answers in CONNACK or DISCONNECT
	Rule   string     // the normative statement, as "MQTT-3.3.1-4"; "" when there is none
	Detail string     // what was found and what was expected
}

func (e *Error) Error() string {
	if e.Rule == "" {
		return fmt.Sprintf("%v: %s", e.Reason, e.Detail)
	}
	return fmt.Sprintf("%v: %s [%s]", e.Reason, e.Detail, e.Rule)
}
