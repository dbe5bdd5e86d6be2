package packet

import "testing"

func authSamples() []sample {
	method := (&Properties{AuthMethod: "m"}).Mark(PropAuthMethod)
	return []sample{
		{"short", V5, frame(0xF0), &Auth{}, false},
		{"success", V5, frame(0xF0, 0, section(PropAuthMethod, "m")), &Auth{Props: method}, false},
		{"again", V5, frame(0xF0, ReAuthenticate, section(PropAuthMethod, "m")), &Auth{Reason: ReAuthenticate, Props: method}, false},
		{"everything", V5, frame(0xF0, ContinueAuthentication, section(PropAuthMethod, "m", PropAuthData, "\x00", PropReasonString, "r", PropUser, "k", "v")),
			&Auth{Reason: ContinueAuthentication, Props: &Properties{Set: AllowedAuth, AuthMethod: "m", AuthData: []byte{0},
				ReasonString: "r", User: []UserProperty{{"k", "v"}}}}, false},
	}
}

func authRefusals() []refusal {
	return []refusal{
		{"section 2.2.1 of 3.1.1", "before 5.0", V311, frame(0xF0), MalformedPacket},
		{"[MQTT-3.15.1-1]", "flags of the first byte", V5, frame(0xF1), MalformedPacket},
		{"[MQTT-3.15.2-1]", "no such reason", V5, frame(0xF0, NotAuthorized, section(PropAuthMethod, "m")), ProtocolError},
		{"section 3.15.2.2.2", "no method", V5, frame(0xF0, ContinueAuthentication, 0), ProtocolError},
		{"section 3.15.2.2.3", "data without method", V5, frame(0xF0, ContinueAuthentication, section(PropAuthData, "d")), ProtocolError},
		{"section 3.15.2.1", "reason alone", V5, frame(0xF0, ContinueAuthentication), MalformedPacket},
	}
}

func TestAuth(t *testing.T) {
	checkSamples(t, authSamples())
	checkRefusals(t, authRefusals())
}

func TestAuthIsNotWrittenBefore5(t *testing.T) {
	if got := (&Auth{}).Append(nil, V311); len(got) != 0 {
		t.Errorf("got % x, want nothing", got)
	}
}
