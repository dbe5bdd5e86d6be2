package packet

import (
	"bytes"
	"testing"
)

func publishSamples() []sample {
	hello := []byte("hello")
	return []sample{
		{"QoS 0", V31, frame(0x30, "a/b", raw("hello")), &Publish{Topic: []byte("a/b"), Payload: hello}, false},
		{"DUP at QoS 0", V31, frame(0x38, "a/b", raw("hello")), &Publish{Dup: true, Topic: []byte("a/b"), Payload: hello}, false},
		{"QoS 0", V311, frame(0x30, "a/b", raw("hello")), &Publish{Topic: []byte("a/b"), Payload: hello}, false},
		{"QoS 1 retained", V311, frame(0x33, "a/b", u16(10), raw("hello")),
			&Publish{QoS: 1, Retain: true, Topic: []byte("a/b"), PacketID: 10, Payload: hello}, false},
		{"QoS 2 again", V311, frame(0x3C, "a/b", u16(65535), raw("hello")),
			&Publish{Dup: true, QoS: 2, Topic: []byte("a/b"), PacketID: 65535, Payload: hello}, false},
		{"no payload", V311, frame(0x31, "a"), &Publish{Retain: true, Topic: []byte("a")}, false},
		{"QoS 0", V5, frame(0x30, "a/b", 0, raw("hello")), &Publish{Topic: []byte("a/b"), Payload: hello}, false},
		{"by alias", V5, frame(0x32, "", u16(1), section(PropTopicAlias, u16(5)), raw("hello")),
			&Publish{QoS: 1, PacketID: 1, Props: (&Properties{TopicAlias: 5}).Mark(PropTopicAlias), Payload: hello}, false},
		{"everything", V5, frame(0x34, "$SYS/字", u16(2), section(PropPayloadFormat, 1, PropMessageExpiry, u32(60), PropContentType, "text/plain",
			PropResponseTopic, "r/1", PropCorrelationData, "\x00\x01", PropSubscriptionID, 1, PropSubscriptionID, raw("\xFF\xFF\xFF\x7F"),
			PropTopicAlias, u16(9), PropUser, "k", "v", PropUser, "k", "w", PropUser, "a", ""), raw("hello")),
			&Publish{QoS: 2, Topic: []byte("$SYS/字"), PacketID: 2, Payload: hello, Props: &Properties{Set: AllowedPublish &^ ManySubscriptionIDs,
				PayloadFormat: 1, MessageExpiry: 60, ContentType: "text/plain", ResponseTopic: "r/1", CorrelationData: []byte{0, 1},
				SubscriptionIDs: []uint32{1, MaxRemaining}, TopicAlias: 9, User: []UserProperty{{"k", "v"}, {"k", "w"}, {"a", ""}}}}, false},
	}
}

func publishRefusals() []refusal {
	return []refusal{
		{"[MQTT-3.3.1-4] [MQTT311-3.3.1-4]", "QoS 3", V311, frame(0x36, "a", u16(1)), MalformedPacket},
		{"[MQTT-3.3.1-4]", "QoS 3", V5, frame(0x36, "a", u16(1), 0), MalformedPacket},
		{"[MQTT-3.3.1-2] [MQTT311-3.3.1-2]", "DUP at QoS 0", V311, frame(0x38, "a"), MalformedPacket},
		{"[MQTT-3.3.1-2]", "DUP at QoS 0", V5, frame(0x38, "a", 0), MalformedPacket},
		{"[MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT311-2.3.1-1]", "packet identifier 0", V311, frame(0x32, "a", u16(0)), ProtocolError},
		{"[MQTT-2.2.1-3]", "packet identifier 0", V5, frame(0x34, "a", u16(0), 0), ProtocolError},
		{"[MQTT-2.2.1-3]", "packet identifier cut off", V311, frame(0x32, "a", 1), MalformedPacket},
		{"[MQTT-3.3.2-1] [MQTT-1.5.4-1] [MQTT311-3.3.2-1]", "topic not UTF-8", V311, frame(0x30, "a\xFF"), MalformedPacket},
		{"[MQTT-3.3.2-2] [MQTT311-3.3.2-2]", "topic with #", V311, frame(0x30, "a/#"), MalformedPacket},
		{"[MQTT-3.3.2-2]", "topic with +", V5, frame(0x30, "+/a", 0), MalformedPacket},
		{"[MQTT311-4.7.3-1]", "topic empty", V311, frame(0x30, ""), MalformedPacket},
		{"section 3.3.2.1", "topic empty, no alias", V5, frame(0x30, "", 0), ProtocolError},
		{"[MQTT-3.3.2-8]", "topic alias 0", V5, frame(0x30, "a", section(PropTopicAlias, u16(0))), TopicAliasInvalid},
		{"[MQTT-3.3.2-13] [MQTT-1.5.4-1]", "response topic not UTF-8", V5, frame(0x30, "a", section(PropResponseTopic, "\xC0\x80")), MalformedPacket},
		{"[MQTT-3.3.2-14]", "response topic with wildcard", V5, frame(0x30, "a", section(PropResponseTopic, "r/+")), MalformedPacket},
		{"[MQTT-4.7.3-1]", "response topic empty", V5, frame(0x30, "a", section(PropResponseTopic, "")), MalformedPacket},
		{"[MQTT-3.3.2-19] [MQTT-1.5.4-1]", "content type not UTF-8", V5, frame(0x30, "a", section(PropContentType, "\xED\xA0\x80")), MalformedPacket},
		{"section 3.3.2.3.8", "subscription identifier 0", V5, frame(0x30, "a", section(PropSubscriptionID, 0)), ProtocolError},
		{"section 3.3.2.3.2", "payload format 2", V5, frame(0x30, "a", section(PropPayloadFormat, 2)), ProtocolError},
		{"[MQTT-2.2.2-1]", "no property length", V5, frame(0x30, "a"), MalformedPacket},
		{"section 3.3.2.1", "topic longer than the packet", V311, frame(0x30, u16(9), raw("a")), MalformedPacket},
	}
}

func TestPublish(t *testing.T) {
	checkSamples(t, publishSamples())
	checkRefusals(t, publishRefusals())
}

// Lengths around each step of the remaining length, with and without properties to move.
func TestPublishOfAnyLength(t *testing.T) { // [MQTT-1.5.5-1]
	for _, size := range []int{0, 120, 121, 122, 127, 128, 16370, 16376, 16384, 2097140, 2097152} {
		for _, pad := range []string{"", string(bytes.Repeat([]byte{'p'}, 200))} {
			p := Publish{Topic: []byte("a/b"), Payload: bytes.Repeat([]byte{7}, size)}
			if pad != "" {
				p.Props = (&Properties{ContentType: pad}).Mark(PropContentType)
			}
			wire := p.Append([]byte("before"), V5)[6:]
			got, err := Read(wire, V5)
			if err != nil {
				t.Fatalf("payload of %d bytes: %v", size, err)
			}
			if g := got.(*Publish); !bytes.Equal(g.Payload, p.Payload) || string(g.Topic) != "a/b" || pad != "" && g.Props.ContentType != pad {
				t.Errorf("payload of %d bytes did not survive", size)
			}
		}
	}
}

// Text that no packet can carry is the caller's fault, found at once. [MQTT-4.7.3-3]
func TestAppendRefusesLongText(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got no panic for a topic of 65,536 bytes")
		}
	}()
	(&Publish{Topic: make([]byte, 65536)}).Append(nil, V5)
}
