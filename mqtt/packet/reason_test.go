package packet

import (
	"slices"
	"strings"
	"testing"
)

// table26 is MQTT 5.0, table 2-6: each reason code and the packets it may stand in.
var table26 = map[ReasonCode]string{
	0x00: "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH",
	0x01: "SUBACK",
	0x02: "SUBACK",
	0x04: "DISCONNECT",
	0x10: "PUBACK PUBREC",
	0x11: "UNSUBACK",
	0x18: "AUTH",
	0x19: "AUTH",
	0x80: "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT",
	0x81: "CONNACK DISCONNECT",
	0x82: "CONNACK DISCONNECT",
	0x83: "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT",
	0x84: "CONNACK",
	0x85: "CONNACK",
	0x86: "CONNACK",
	0x87: "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT",
	0x88: "CONNACK",
	0x89: "CONNACK DISCONNECT",
	0x8A: "CONNACK",
	0x8B: "DISCONNECT",
	0x8C: "CONNACK DISCONNECT",
	0x8D: "DISCONNECT",
	0x8E: "DISCONNECT",
	0x8F: "SUBACK UNSUBACK DISCONNECT",
	0x90: "CONNACK PUBACK PUBREC DISCONNECT",
	0x91: "PUBACK PUBREC SUBACK UNSUBACK",
	0x92: "PUBREL PUBCOMP",
	0x93: "DISCONNECT",
	0x94: "DISCONNECT",
	0x95: "CONNACK DISCONNECT",
	0x96: "DISCONNECT",
	0x97: "CONNACK PUBACK PUBREC SUBACK DISCONNECT",
	0x98: "DISCONNECT",
	0x99: "CONNACK PUBACK PUBREC DISCONNECT",
	0x9A: "CONNACK DISCONNECT",
	0x9B: "CONNACK DISCONNECT",
	0x9C: "CONNACK DISCONNECT",
	0x9D: "CONNACK DISCONNECT",
	0x9E: "SUBACK DISCONNECT",
	0x9F: "CONNACK DISCONNECT",
	0xA0: "DISCONNECT",
	0xA1: "SUBACK DISCONNECT",
	0xA2: "SUBACK DISCONNECT",
}

// withReason is the shortest packet of a kind that says c, in 5.0.
func withReason(kind Type, c ReasonCode) []byte {
	switch kind {
	case CONNACK:
		return frame(0x20, 0, c, 0)
	case PUBACK, PUBREC, PUBCOMP:
		return frame(int(kind)<<4, u16(1), c)
	case PUBREL:
		return frame(0x62, u16(1), c)
	case SUBACK, UNSUBACK:
		return frame(int(kind)<<4, u16(1), 0, c)
	case DISCONNECT:
		return frame(0xE0, c)
	}
	return frame(0xF0, c, section(PropAuthMethod, "m"))
}

// [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2]
// [MQTT-3.14.2-1] [MQTT-3.15.2-1]
func TestReasonCodesOfEachPacket(t *testing.T) {
	for _, kind := range []Type{CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH} {
		for n := range 256 {
			c := ReasonCode(n)
			_, err := Read(withReason(kind, c), V5)
			if want := slices.Contains(strings.Fields(table26[c]), kind.String()); want != (err == nil) {
				t.Errorf("%v with %v: got error %v, allowed is %v", kind, c, err, want)
			}
		}
	}
}

// Each code has its name.
func TestReasonNames(t *testing.T) {
	seen := map[string]ReasonCode{}
	for c := range table26 {
		name := c.String()
		if strings.HasPrefix(name, "reason code") {
			t.Errorf("%#02x has no name", byte(c))
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%#02x and %#02x are both %q", byte(c), byte(other), name)
		}
		seen[name] = c
	}
}
