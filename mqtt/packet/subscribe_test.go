package packet

import (
	"bytes"
	"testing"
)

func subscribeSamples() []sample {
	return []sample{
		{"one", V31, frame(0x82, u16(1), "a/#", 1), &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: "a/#", QoS: 1}}}, false},
		{"unused bits", V31, frame(0x8B, u16(1), "a/#", 0xFD), &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: "a/#", QoS: 1}}}, true},
		{"two", V311, frame(0x82, u16(1), "a/#", 1, "b", 2),
			&Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: "a/#", QoS: 1}, {Filter: "b", QoS: 2}}}, false},
		{"options", V5, frame(0x82, u16(1), section(PropSubscriptionID, raw("\x80\x01"), PropUser, "k", "v"), "a", 0x2D, "$share/g/b", 0x18),
			&Subscribe{PacketID: 1, Props: &Properties{Set: AllowedSubscribe, SubscriptionIDs: []uint32{128}, User: []UserProperty{{"k", "v"}}},
				Filters: []SubscribeFilter{{Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
					{Filter: "$share/g/b", RetainAsPublished: true, RetainHandling: 1}}}, false},
		{"SUBACK", V311, frame(0x90, u16(1), 0, 1, 2, 0x80), &Suback{PacketID: 1, Reasons: []ReasonCode{0, 1, 2, 0x80}}, false},
		{"SUBACK", V5, frame(0x90, u16(1), section(PropReasonString, "no"), 0, 1, 2, NotAuthorized, WildcardNotSupported),
			&Suback{PacketID: 1, Props: (&Properties{ReasonString: "no"}).Mark(PropReasonString),
				Reasons: []ReasonCode{0, 1, 2, NotAuthorized, WildcardNotSupported}}, false},
	}
}

func subscribeRefusals() []refusal {
	return []refusal{
		{"[MQTT-3.8.1-1] [MQTT311-3.8.1-1]", "flags of the first byte", V311, frame(0x80, u16(1), "a", 0), MalformedPacket},
		{"[MQTT-3.8.1-1]", "without QoS 1", V31, frame(0x80, u16(1), "a", 0), MalformedPacket},
		{"[MQTT-2.2.1-3]", "packet identifier 0", V5, frame(0x82, u16(0), 0, "a", 0), ProtocolError},
		{"[MQTT-3.8.3-1] [MQTT-1.5.4-1] [MQTT311-3.8.3-1]", "filter not UTF-8", V311, frame(0x82, u16(1), "\xFF", 0), MalformedPacket},
		{"[MQTT-4.7.3-1] [MQTT311-4.7.3-1]", "filter empty", V311, frame(0x82, u16(1), "", 0), MalformedPacket},
		{"[MQTT-3.8.3-2] [MQTT311-3.8.3-3]", "no filter", V311, frame(0x82, u16(1)), ProtocolError},
		{"[MQTT-3.8.3-2]", "no filter", V5, frame(0x82, u16(1), 0), ProtocolError},
		{"[MQTT-3.8.3-4]", "no local on a shared subscription", V5, frame(0x82, u16(1), 0, "$share/g/a", 0x04), ProtocolError},
		{"[MQTT-3.8.3-5]", "reserved options", V5, frame(0x82, u16(1), 0, "a", 0x40), MalformedPacket},
		{"[MQTT-3.8.3-5] [MQTT311-3-8.3-4]", "QoS 3", V311, frame(0x82, u16(1), "a", 3), ProtocolError},
		{"[MQTT311-3-8.3-4]", "reserved bits", V311, frame(0x82, u16(1), "a", 0x04), MalformedPacket},
		{"section 3.8.3.1", "retain handling 3", V5, frame(0x82, u16(1), 0, "a", 0x30), ProtocolError},
		{"section 3.8.3", "filter without options", V5, frame(0x82, u16(1), 0, "a"), MalformedPacket},
		{"section 3.8.2.1.2", "two subscription identifiers", V5,
			frame(0x82, u16(1), section(PropSubscriptionID, 1, PropSubscriptionID, 2), "a", 0), ProtocolError},
		{"section 3.8.2.1.2", "subscription identifier 0", V5, frame(0x82, u16(1), section(PropSubscriptionID, 0), "a", 0), ProtocolError},
		{"[MQTT-2.1.3-1]", "SUBACK flags", V311, frame(0x92, u16(1), 0), MalformedPacket},
		{"[MQTT311-3.9.3-2] [MQTT-3.9.3-2]", "SUBACK with a reason of 5.0", V311, frame(0x90, u16(1), NotAuthorized), ProtocolError},
		{"[MQTT-3.9.3-2]", "SUBACK with no such reason", V5, frame(0x90, u16(1), 0, 3), ProtocolError},
		{"[MQTT-3.9.3-2]", "SUBACK without reason", V5, frame(0x90, u16(1), 0), ProtocolError},
	}
}

func TestSubscribe(t *testing.T) {
	checkSamples(t, subscribeSamples())
	checkRefusals(t, subscribeRefusals())
}

// Before 5.0 every failure is 0x80. [MQTT311-3.9.3-2]
func TestSubackBefore5(t *testing.T) {
	s := Suback{PacketID: 1, Reasons: []ReasonCode{GrantedQoS2, NotAuthorized, QuotaExceeded}}
	if got, want := s.Append(nil, V311), frame(0x90, u16(1), 2, 0x80, 0x80); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}
