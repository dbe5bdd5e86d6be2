package packet

import "testing"

func ackSamples() (all []sample) {
	for first, kind := range map[int]Type{0x40: PUBACK, 0x50: PUBREC, 0x62: PUBREL, 0x70: PUBCOMP} {
		failed := PacketIDNotFound
		if kind == PUBACK || kind == PUBREC {
			failed = QuotaExceeded
		}
		why := (&Properties{ReasonString: "full"}).Mark(PropReasonString)
		name := kind.String()
		all = append(all,
			sample{name, V31, frame(first, u16(9)), &Ack{Kind: kind, PacketID: 9}, false},
			sample{name, V311, frame(first, u16(9)), &Ack{Kind: kind, PacketID: 9}, false},
			sample{name + " short", V5, frame(first, u16(9)), &Ack{Kind: kind, PacketID: 9}, false},
			sample{name + " with reason", V5, frame(first, u16(9), failed), &Ack{Kind: kind, PacketID: 9, Reason: failed}, false},
			sample{name + " in full", V5, frame(first, u16(9), 0, 0), &Ack{Kind: kind, PacketID: 9}, true},
			sample{name + " success with properties", V5, frame(first, u16(9), 0, section(PropReasonString, "full")),
				&Ack{Kind: kind, PacketID: 9, Props: why}, false},
			sample{name + " failed with properties", V5, frame(first, u16(9), failed, section(PropReasonString, "full")),
				&Ack{Kind: kind, PacketID: 9, Reason: failed, Props: why}, false})
	}
	return append(all, sample{"PUBREL again", V31, frame(0x6A, u16(9)), &Ack{Kind: PUBREL, PacketID: 9}, true})
}

func ackRefusals() []refusal {
	return []refusal{
		{"[MQTT-2.1.3-1] [MQTT311-2.2.2-2]", "PUBACK flags", V311, frame(0x42, u16(9)), MalformedPacket},
		{"[MQTT-3.6.1-1] [MQTT311-3.6.1-1]", "PUBREL flags", V311, frame(0x60, u16(9)), MalformedPacket},
		{"[MQTT-3.6.1-1]", "PUBREL flags", V5, frame(0x6A, u16(9)), MalformedPacket},
		{"[MQTT-3.6.1-1]", "PUBREL without QoS 1", V31, frame(0x60, u16(9)), MalformedPacket},
		{"[MQTT-2.2.1-3]", "PUBACK identifier 0", V311, frame(0x40, u16(0)), ProtocolError},
		{"section 2.2.1", "PUBACK without identifier", V311, frame(0x40), MalformedPacket},
		{"section 3.4", "PUBACK with a reason", V311, frame(0x40, u16(9), 0), MalformedPacket},
		{"[MQTT-3.4.2-1]", "PUBACK with a reason of PUBREL", V5, frame(0x40, u16(9), PacketIDNotFound), ProtocolError},
		{"[MQTT-3.5.2-1]", "PUBREC with no such reason", V5, frame(0x50, u16(9), GrantedQoS1), ProtocolError},
		{"[MQTT-3.6.2-1]", "PUBREL with a reason of PUBREC", V5, frame(0x62, u16(9), QuotaExceeded), ProtocolError},
		{"[MQTT-3.7.2-1]", "PUBCOMP with a reason of PUBREC", V5, frame(0x70, u16(9), UnspecifiedError), ProtocolError},
		{"section 3.4.2.2", "PUBACK with a property of PUBLISH", V5, frame(0x40, u16(9), 0, section(PropTopicAlias, u16(1))), MalformedPacket},
		{"section 3.4", "PUBACK with more than it says", V5, frame(0x40, u16(9), 0, 0, 0), MalformedPacket},
	}
}

func TestAck(t *testing.T) {
	checkSamples(t, ackSamples())
	checkRefusals(t, ackRefusals())
}
