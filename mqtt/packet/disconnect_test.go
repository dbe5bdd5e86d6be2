package packet

import "testing"

func disconnectSamples() []sample {
	return []sample{
		{"plain", V31, frame(0xE0), &Disconnect{}, false},
		{"plain", V311, frame(0xE0), &Disconnect{}, false},
		{"short", V5, frame(0xE0), &Disconnect{}, false},
		{"in full", V5, frame(0xE0, 0, 0), &Disconnect{}, true},
		{"with will", V5, frame(0xE0, DisconnectWithWill), &Disconnect{Reason: DisconnectWithWill}, false},
		{"everything", V5, frame(0xE0, UseAnotherServer, section(PropSessionExpiry, u32(1), PropServerReference, "s", PropReasonString, "r", PropUser, "k", "v")),
			&Disconnect{Reason: UseAnotherServer, Props: &Properties{Set: AllowedDisconnect, SessionExpiry: 1, ServerReference: "s",
				ReasonString: "r", User: []UserProperty{{"k", "v"}}}}, false},
	}
}

func disconnectRefusals() []refusal {
	return []refusal{
		{"[MQTT-3.14.1-1] [MQTT311-3.14.1-1]", "flags of the first byte", V311, frame(0xE1), MalformedPacket},
		{"[MQTT-3.14.1-1]", "flags of the first byte", V5, frame(0xE8), MalformedPacket},
		{"section 3.14", "with a body", V311, frame(0xE0, 0), MalformedPacket},
		{"[MQTT-3.14.2-1]", "no such reason", V5, frame(0xE0, GrantedQoS1), ProtocolError},
		{"[MQTT-3.14.2-1]", "a reason of PUBREC", V5, frame(0xE0, PacketIDInUse), ProtocolError},
		{"section 3.14.2.2", "a property of CONNECT", V5, frame(0xE0, 0, section(PropReceiveMaximum, u16(1))), MalformedPacket},
	}
}

func TestDisconnect(t *testing.T) {
	checkSamples(t, disconnectSamples())
	checkRefusals(t, disconnectRefusals())
}
