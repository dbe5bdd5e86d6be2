package packet

import (
	"errors"
	"reflect"
	"testing"
)

// connect31, connect311 and connect5 build a CONNECT from its flags on.
func connect31(flags int, rest ...any) []byte {
	return frame(0x10, append([]any{"MQIsdp", 3, flags, u16(60)}, rest...)...)
}

func connect311(flags int, rest ...any) []byte {
	return frame(0x10, append([]any{"MQTT", 4, flags, u16(60)}, rest...)...)
}

func connect5(flags int, rest ...any) []byte {
	return frame(0x10, append([]any{"MQTT", 5, flags, u16(60)}, rest...)...)
}

func connectSamples() []sample {
	return []sample{
		{"plain", V31, connect31(0, "id"), &Connect{Version: V31, KeepAlive: 60, ClientID: "id"}, false},
		{"announced user left out", V31, connect31(0xC0, "id"), &Connect{Version: V31, KeepAlive: 60, ClientID: "id"}, true},
		{"announced password left out", V31, connect31(0xC0, "id", "u"),
			&Connect{Version: V31, KeepAlive: 60, ClientID: "id", HasUser: true, Username: "u"}, true},
		{"unused bits", V31, frame(0x1F, "MQIsdp", 3, 0x39, u16(60), "id"), &Connect{Version: V31, KeepAlive: 60, ClientID: "id"}, true},
		{"plain", V311, connect311(2, "id"), &Connect{Version: V311, CleanStart: true, KeepAlive: 60, ClientID: "id"}, false},
		{"no client identifier", V311, connect311(2, ""), &Connect{Version: V311, CleanStart: true, KeepAlive: 60}, false},
		{"everything", V311, connect311(0xF4, "id", "will", "gone", "user", "pass"), // [MQTT-3.1.3-1] the order
			&Connect{Version: V311, KeepAlive: 60, ClientID: "id", HasUser: true, Username: "user", HasPass: true, Password: []byte("pass"),
				Will: &Will{Topic: "will", Payload: []byte("gone"), QoS: 2, Retain: true}}, false},
		{"plain", V5, connect5(0, 0, ""), &Connect{Version: V5, KeepAlive: 60}, false},
		{"password alone", V5, connect5(0x40, 0, "id", "token"),
			&Connect{Version: V5, KeepAlive: 60, ClientID: "id", HasPass: true, Password: []byte("token")}, false},
		{"everything", V5, connect5(0xEE, section(PropSessionExpiry, u32(9), PropAuthMethod, "m", PropAuthData, "d",
			PropRequestProblemInfo, 0, PropRequestResponseInfo, 1, PropReceiveMaximum, u16(7), PropTopicAliasMaximum, u16(0),
			PropUser, "a", "b", PropUser, "a", "c", PropMaximumPacketSize, u32(100)),
			"id", section(PropPayloadFormat, 1, PropMessageExpiry, u32(5), PropContentType, "text", PropResponseTopic, "r",
				PropCorrelationData, "c", PropWillDelay, u32(3), PropUser, "x", "y"), "will", "gone", "user", "pass"),
			&Connect{Version: V5, CleanStart: true, KeepAlive: 60, ClientID: "id", HasUser: true, Username: "user", HasPass: true, Password: []byte("pass"),
				Props: (&Properties{SessionExpiry: 9, AuthMethod: "m", AuthData: []byte("d"), RequestResponseInfo: 1, ReceiveMaximum: 7,
					User: []UserProperty{{"a", "b"}, {"a", "c"}}, MaximumPacketSize: 100, Set: AllowedConnect}),
				Will: &Will{Topic: "will", Payload: []byte("gone"), QoS: 1, Retain: true, Props: &Properties{PayloadFormat: 1, MessageExpiry: 5,
					ContentType: "text", ResponseTopic: "r", CorrelationData: []byte("c"), WillDelay: 3, User: []UserProperty{{"x", "y"}}, Set: AllowedWill}}}, false},
	}
}

func connectRefusals() []refusal {
	return []refusal{
		{"[MQTT-3.1.2-1] [MQTT311-3.1.2-1]", "other protocol", V5, frame(0x10, "HTTP", 5, 0, u16(0), 0, "id"), UnsupportedProtocolVersion},
		{"[MQTT-3.1.2-1]", "name in other case", V5, frame(0x10, "mqtt", 5, 0, u16(0), 0, "id"), UnsupportedProtocolVersion},
		{"[MQTT-3.1.2-2] [MQTT311-3.1.2-2]", "level 6", V5, frame(0x10, "MQTT", 6, 0, u16(0), 0, "id"), UnsupportedProtocolVersion},
		{"[MQTT-3.1.2-2]", "old name with new level", V5, frame(0x10, "MQIsdp", 4, 0, u16(0), "id"), UnsupportedProtocolVersion},
		{"[MQTT-3.1.2-2]", "new name with old level", V5, frame(0x10, "MQTT", 3, 0, u16(0), "id"), UnsupportedProtocolVersion},
		{"[MQTT-2.1.3-1] [MQTT311-2.2.2-2]", "flags of the first byte", V311, frame(0x11, "MQTT", 4, 2, u16(0), "id"), MalformedPacket},
		{"[MQTT-3.1.2-3] [MQTT311-3.1.2-3]", "reserved flag", V311, connect311(3, "id"), MalformedPacket},
		{"[MQTT-3.1.2-3]", "reserved flag", V5, connect5(3, 0, "id"), MalformedPacket},
		{"[MQTT-3.1.2-11] [MQTT311-3.1.2-13]", "will QoS without will", V5, connect5(0x08, 0, "id"), MalformedPacket},
		{"[MQTT-3.1.2-12] [MQTT311-3.1.2-14]", "will QoS 3", V5, connect5(0x1C, 0, "id", 0, "w", ""), MalformedPacket},
		{"[MQTT-3.1.2-13] [MQTT311-3.1.2-15]", "will retain without will", V5, connect5(0x20, 0, "id"), MalformedPacket},
		{"[MQTT-3.1.2-9] [MQTT311-3.1.2-9]", "will announced, not there", V311, connect311(0x06, "id"), MalformedPacket},
		{"[MQTT-3.1.2-9]", "will without payload", V5, connect5(0x06, 0, "id", 0, "w"), MalformedPacket},
		{"[MQTT-3.1.2-16]", "user not announced", V5, connect5(0x02, 0, "id", "user"), MalformedPacket},
		{"[MQTT-3.1.2-17]", "user announced, not there", V5, connect5(0x82, 0, "id"), MalformedPacket},
		{"[MQTT-3.1.2-18]", "password not announced", V5, connect5(0x82, 0, "id", "user", "pass"), MalformedPacket},
		{"[MQTT-3.1.2-19]", "password announced, not there", V5, connect5(0xC2, 0, "id", "user"), MalformedPacket},
		{"[MQTT311-3.1.2-22]", "password without user", V311, connect311(0x42, "id", "pass"), MalformedPacket},
		{"[MQTT-3.1.3-3]", "no client identifier field", V311, connect311(0x02), MalformedPacket},
		{"[MQTT-3.1.3-4] [MQTT-1.5.4-1]", "client identifier not UTF-8", V5, connect5(0x02, 0, "\xFF"), MalformedPacket},
		{"[MQTT-3.1.3-11] [MQTT-1.5.4-1]", "will topic not UTF-8", V5, connect5(0x06, 0, "id", 0, "\xFF", ""), MalformedPacket},
		{"[MQTT-3.1.3-11]", "will topic with wildcard", V5, connect5(0x06, 0, "id", 0, "a/#", ""), MalformedPacket},
		{"[MQTT-4.7.3-1]", "will topic empty", V5, connect5(0x06, 0, "id", 0, "", ""), MalformedPacket},
		{"[MQTT-3.1.3-12] [MQTT-1.5.4-2]", "user name with U+0000", V5, connect5(0x82, 0, "id", "\x00"), MalformedPacket},
		{"[MQTT311-3.1.3-7] [MQTT311-3.1.3-8]", "no client identifier, session to keep", V311, connect311(0, ""), ClientIdentifierNotValid},
		{"[MQTT311-3.1.3-8]", "no client identifier", V31, connect31(2, ""), ClientIdentifierNotValid},
		{"section 3.1.2.11.10", "authentication data without method", V5, connect5(2, section(PropAuthData, "x"), "id"), ProtocolError},
		{"section 3.1.2.11.3", "receive maximum 0", V5, connect5(2, section(PropReceiveMaximum, u16(0)), "id"), ProtocolError},
		{"section 3.1.2.11.4", "maximum packet size 0", V5, connect5(2, section(PropMaximumPacketSize, u32(0)), "id"), ProtocolError},
		{"section 3.1.2.11.6", "request response information 2", V5, connect5(2, section(PropRequestResponseInfo, 2), "id"), ProtocolError},
		{"section 3.1.2.11.7", "request problem information 2", V5, connect5(2, section(PropRequestProblemInfo, 2), "id"), ProtocolError},
		{"section 3.1.3.2", "will delay outside of a will", V5, connect5(2, section(PropWillDelay, u32(1)), "id"), MalformedPacket},
		{"section 3.1", "nothing", V5, frame(0x10), MalformedPacket},
	}
}

func TestConnect(t *testing.T) {
	checkSamples(t, connectSamples())
	checkRefusals(t, connectRefusals())
}

// After UnsupportedProtocolVersion the packet tells in which version to answer.
func TestConnectKeepsUnknownVersion(t *testing.T) { // [MQTT-3.1.2-2] [MQTT311-3.1.2-2]
	for _, c := range []struct {
		name         string
		level        int
		want, answer Version
	}{
		{"MQTT", 6, 6, V5},
		{"MQTT", 2, 2, V311},
		{"MQTT", 0x83, 0x83, V311}, // a bridge, with the name of another version
		{"MQTT", 0x85, 0x85, V311}, // 5.0 has options for what a bridge wants
		{"MQIsdp", 0x84, 0x84, V311},
		{"MQIsdp", 5, 5, V5},
		{"HTTP", 5, 0, V311},
	} {
		var got Connect
		wire := frame(0x10, c.name, c.level, 0, u16(0), "id")
		err := got.Decode(0, wire[2:], V5)
		var e *Error
		if !errors.As(err, &e) || e.Reason != UnsupportedProtocolVersion {
			t.Errorf("%s %d: got error %v, want %v", c.name, c.level, err, UnsupportedProtocolVersion)
		}
		if got.Version != c.want || got.Version.Answer() != c.answer {
			t.Errorf("%s %d: got version %d to answer in %d, want %d in %d", c.name, c.level, got.Version, got.Version.Answer(), c.want, c.answer)
		}
	}
}

// A Mosquitto bridge sets bit 7 of the level.
func TestConnectOfABridge(t *testing.T) {
	for name, want := range map[string]Connect{
		"MQTT":   {Version: V311, Bridge: true, CleanStart: true, ClientID: "id"},
		"MQIsdp": {Version: V31, Bridge: true, CleanStart: true, ClientID: "id"},
	} {
		wire := frame(0x10, name, 0x80|int(want.Version), 2, u16(0), "id")
		var got Connect
		if err := got.Decode(0, wire[2:], V5); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
		if b := got.Append(nil, V5); string(b) != string(wire) {
			t.Errorf("%s: got % x, want % x", name, b, wire)
		}
	}
}

// Fields that a version cannot carry are left out.
func TestConnectLeavesOut(t *testing.T) {
	c := Connect{ClientID: "id", HasPass: true, Password: []byte("p"), Props: (&Properties{SessionExpiry: 1}).Mark(PropSessionExpiry)}
	if got, want := c.Append(nil, V311), frame(0x10, "MQTT", 4, 0, u16(0), "id"); string(got) != string(want) {
		t.Errorf("got % x, want % x", got, want) // [MQTT311-3.1.2-22]
	}
}
