package packet

import (
	"bytes"
	"testing"
)

func connackSamples() []sample {
	return []sample{
		{"accepted", V31, frame(0x20, 0, 0), &Connack{}, false},
		{"accepted, unused byte", V31, frame(0x20, 7, 0), &Connack{}, true},
		{"accepted", V311, frame(0x20, 0, 0), &Connack{}, false},
		{"session present", V311, frame(0x20, 1, 0), &Connack{SessionPresent: true}, false},
		{"bad version", V311, frame(0x20, 0, 1), &Connack{Reason: UnsupportedProtocolVersion}, false},
		{"bad identifier", V311, frame(0x20, 0, 2), &Connack{Reason: ClientIdentifierNotValid}, false},
		{"unavailable", V311, frame(0x20, 0, 3), &Connack{Reason: ServerUnavailable}, false},
		{"bad user or password", V311, frame(0x20, 0, 4), &Connack{Reason: BadUserNameOrPassword}, false},
		{"not authorized", V311, frame(0x20, 0, 5), &Connack{Reason: NotAuthorized}, false},
		{"session present", V5, frame(0x20, 1, 0, 0), &Connack{SessionPresent: true}, false},
		{"banned", V5, frame(0x20, 0, Banned, 0), &Connack{Reason: Banned}, false},
		{"everything", V5, frame(0x20, 0, 0, section(PropSessionExpiry, u32(1), PropAssignedClientID, "id", PropServerKeepAlive, u16(9),
			PropAuthMethod, "m", PropAuthData, "d", PropResponseInfo, "ri", PropServerReference, "sr", PropReasonString, "rs",
			PropReceiveMaximum, u16(1), PropTopicAliasMaximum, u16(2), PropMaximumQoS, 1, PropRetainAvailable, 0, PropUser, "k", "v",
			PropMaximumPacketSize, u32(3), PropWildcardAvailable, 1, PropSubscriptionIDsAllowed, 0, PropSharedAvailable, 1)),
			&Connack{Props: &Properties{Set: AllowedConnack, SessionExpiry: 1, AssignedClientID: "id", ServerKeepAlive: 9, AuthMethod: "m",
				AuthData: []byte("d"), ResponseInfo: "ri", ServerReference: "sr", ReasonString: "rs", ReceiveMaximum: 1, TopicAliasMaximum: 2,
				MaximumQoS: 1, User: []UserProperty{{"k", "v"}}, MaximumPacketSize: 3, WildcardAvailable: 1, SharedAvailable: 1}}, false},
	}
}

func connackRefusals() []refusal {
	return []refusal{
		{"[MQTT-2.1.3-1]", "flags of the first byte", V5, frame(0x21, 0, 0, 0), MalformedPacket},
		{"[MQTT-3.2.2-1]", "reserved flags", V5, frame(0x20, 2, 0, 0), MalformedPacket},
		{"[MQTT-3.2.2-6]", "session present with a failure", V5, frame(0x20, 1, Banned, 0), ProtocolError},
		{"[MQTT-3.2.2-6] [MQTT311-3.2.2-4]", "session present with a failure", V311, frame(0x20, 1, 5), ProtocolError},
		{"[MQTT-3.2.2-8]", "no such reason", V5, frame(0x20, 0, KeepAliveTimeout, 0), ProtocolError},
		{"section 3.2.2.3", "return code 6", V311, frame(0x20, 0, 6), MalformedPacket},
		{"section 3.2.2.3.4", "maximum QoS 2", V5, frame(0x20, 0, 0, section(PropMaximumQoS, 2)), ProtocolError},
		{"section 3.2.2.3.5", "retain available 2", V5, frame(0x20, 0, 0, section(PropRetainAvailable, 2)), ProtocolError},
		{"section 3.2.2.3.3", "receive maximum 0", V5, frame(0x20, 0, 0, section(PropReceiveMaximum, u16(0))), ProtocolError},
		{"[MQTT-2.2.2-1]", "no property length", V5, frame(0x20, 0, 0), MalformedPacket},
	}
}

func TestConnack(t *testing.T) {
	checkSamples(t, connackSamples())
	checkRefusals(t, connackRefusals())
}

// Every reason a server may give becomes a return code or silence before 5.0.
func TestConnackReturnCodes(t *testing.T) { // [MQTT311-3.2.2-6]
	silent := map[ReasonCode]bool{MalformedPacket: true, ProtocolError: true, PacketTooLarge: true, PayloadFormatInvalid: true,
		RetainNotSupported: true, QoSNotSupported: true}
	for n := range 256 {
		c := ReasonCode(n)
		if !connackReason(c) {
			continue
		}
		code, ok := c.ReturnCode()
		if ok == silent[c] || code > 5 || (code == 0) != (c == Success || !ok) {
			t.Errorf("%v: got return code %d, %v", c, code, ok)
		}
		got := (&Connack{Reason: c}).Append(nil, V311)
		want := []byte(nil)
		if ok {
			want = []byte{0x20, 2, 0, code}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%v: got % x, want % x", c, got, want)
		}
	}
}

// Session present never goes with a failure. [MQTT-3.2.2-6] [MQTT311-3.2.2-4]
func TestConnackDropsSessionPresent(t *testing.T) {
	c := Connack{SessionPresent: true, Reason: NotAuthorized}
	if got, want := c.Append(nil, V311), frame(0x20, 0, 5); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}
