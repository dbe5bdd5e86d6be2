package packet

import "testing"

func unsubscribeSamples() []sample {
	return []sample{
		{"one", V31, frame(0xA2, u16(1), "a/#"), &Unsubscribe{PacketID: 1, Filters: []string{"a/#"}}, false},
		{"two", V311, frame(0xA2, u16(1), "a/#", "b"), &Unsubscribe{PacketID: 1, Filters: []string{"a/#", "b"}}, false},
		{"user property", V5, frame(0xA2, u16(1), section(PropUser, "k", "v"), "b"),
			&Unsubscribe{PacketID: 1, Props: (&Properties{User: []UserProperty{{"k", "v"}}}).Mark(PropUser), Filters: []string{"b"}}, false},
		{"UNSUBACK", V311, frame(0xB0, u16(1)), &Unsuback{PacketID: 1}, false},
		{"UNSUBACK", V5, frame(0xB0, u16(1), 0, 0, NoSubscriptionExisted),
			&Unsuback{PacketID: 1, Reasons: []ReasonCode{Success, NoSubscriptionExisted}}, false},
	}
}

func unsubscribeRefusals() []refusal {
	return []refusal{
		{"[MQTT-3.10.1-1] [MQTT311-3.10.1-1]", "flags of the first byte", V311, frame(0xA0, u16(1), "a"), MalformedPacket},
		{"[MQTT-2.2.1-3]", "packet identifier 0", V5, frame(0xA2, u16(0), 0, "a"), ProtocolError},
		{"[MQTT-3.10.3-1] [MQTT-1.5.4-2] [MQTT311-3.10.3-1]", "filter with U+0000", V311, frame(0xA2, u16(1), "a\x00"), MalformedPacket},
		{"[MQTT-3.10.3-2] [MQTT311-3.10.3-2]", "no filter", V311, frame(0xA2, u16(1)), ProtocolError},
		{"[MQTT-3.10.3-2]", "no filter", V5, frame(0xA2, u16(1), 0), ProtocolError},
		{"section 3.10.2.1", "subscription identifier", V5, frame(0xA2, u16(1), section(PropSubscriptionID, 1), "a"), MalformedPacket},
		{"[MQTT-2.1.3-1]", "UNSUBACK flags", V5, frame(0xB2, u16(1), 0, 0), MalformedPacket},
		{"section 3.11", "UNSUBACK with a payload", V311, frame(0xB0, u16(1), 0), MalformedPacket},
		{"[MQTT-3.11.3-2]", "UNSUBACK with no such reason", V5, frame(0xB0, u16(1), 0, GrantedQoS1), ProtocolError},
		{"[MQTT-3.11.3-2]", "UNSUBACK without reason", V5, frame(0xB0, u16(1), 0), ProtocolError},
	}
}

func TestUnsubscribe(t *testing.T) {
	checkSamples(t, unsubscribeSamples())
	checkRefusals(t, unsubscribeRefusals())
}
