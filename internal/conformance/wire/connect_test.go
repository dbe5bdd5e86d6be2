package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// The first packet is CONNECT. [MQTT-3.1.0-1] [MQTT311-3.1.0-1]
func TestFirstPacketIsConnect(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		for _, first := range []packet.Packet{&packet.Pingreq{}, pub("a", "x"), &packet.Subscribe{PacketID: 1,
			Filters: []packet.SubscribeFilter{{Filter: "a"}}}, &packet.Disconnect{}} {
			p := s.peer(v)
			p.Write(first)
			p.WantClosed(fmt.Sprint(first.Type()))
		}
	})
}

// There is one CONNECT. [MQTT-3.1.0-2] [MQTT311-3.1.0-2]
func TestSecondConnect(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		p := s.client(v, "a")
		p.Write(hello(v, "a"))
		p.WantGone("second CONNECT", packet.ProtocolError)
	})
}

// What is not MQTT of a version spoken here is refused. [MQTT-3.1.2-1] [MQTT-3.1.2-2] [MQTT311-3.1.2-1] [MQTT311-3.1.2-2]
func TestOtherProtocols(t *testing.T) {
	for _, test := range []struct {
		name  string
		level byte
	}{{"MQTT", 2}, {"MQTT", 3}, {"MQTT", 6}, {"MQIsdp", 4}, {"MQIsdp", 2}, {"MQXX", 4}, {"mqtt", 4}} {
		script(t, func(s *server) {
			p := s.peer(packet.V311)
			body := append(text(test.name), test.level, 2, 0, 0, 0, 1, 'a')
			if test.level >= 5 {
				p.v = packet.V5
				body = append(text(test.name), test.level, 2, 0, 0, 0, 0, 1, 'a')
			}
			p.WriteBytes(append([]byte{0x10, byte(len(body))}, body...)...)
			if strings.HasPrefix(test.name, "MQT") || test.name == "MQIsdp" {
				p.Want("a level not spoken here", &packet.Connack{Reason: packet.UnsupportedProtocolVersion})
			} else {
				p.next() // a server may tell what it is
			}
			p.WantClosed(fmt.Sprint(test.name, test.level))
		})
	}
}

// text is a string on the wire.
func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

// Bits of the connect flags.
const (
	reserved, clean, will, willQoS1, willQoS3, willRetain, password, user = 1, 2, 4, 8, 24, 32, 64, 128
)

// rawConnect is a CONNECT with these flags and payload fields, whatever they are.
func rawConnect(v packet.Version, flags byte, fields ...[]byte) []byte {
	body := append(text("MQTT"), byte(v), flags, 0, 0)
	if v == packet.V5 {
		body = append(body, 0)
	}
	for _, f := range fields {
		body = append(body, f...)
	}
	return append([]byte{0x10, byte(len(body))}, body...)
}

// willProps is the place of the will properties, which only 5.0 has.
func willProps(v packet.Version) []byte {
	if v == packet.V5 {
		return []byte{0}
	}
	return nil
}

// A CONNECT that does not fit its format closes the connection; before 5.0 without an answer.
// [MQTT-3.1.4-1] [MQTT311-3.1.4-1]
func TestConnectThatDoesNotFit(t *testing.T) {
	bad := "\xc3\x28"
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for _, test := range []struct {
			why string
			b   []byte
		}{
			{"reserved flag [MQTT-3.1.2-3] [MQTT311-3.1.2-3]", rawConnect(v, clean|reserved, text("a"))},
			{"no client id [MQTT-3.1.3-3] [MQTT311-3.1.3-3]", rawConnect(v, clean)},
			{"client id is no UTF-8 [MQTT-3.1.3-4] [MQTT311-3.1.3-4]", rawConnect(v, clean, text(bad))},
			{"client id with U+0000 [MQTT-1.5.4-2] [MQTT311-1.5.3-2]", rawConnect(v, clean, text("a\x00"))},
			{"client id with a surrogate [MQTT-1.5.4-1] [MQTT311-1.5.3-1]", rawConnect(v, clean, text("\xed\xa0\x80"))},
			{"no will [MQTT-3.1.2-9] [MQTT311-3.1.2-9]", rawConnect(v, clean|will, text("a"))},
			{"no will message [MQTT-3.1.2-9] [MQTT311-3.1.2-9]", rawConnect(v, clean|will, text("a"), willProps(v), text("w"))},
			{"will topic is no UTF-8 [MQTT-3.1.3-11] [MQTT311-3.1.3-10]", rawConnect(v, clean|will, text("a"), willProps(v), text(bad), text(""))},
			{"will fields without flag [MQTT311-3.1.2-11]", rawConnect(v, clean, text("a"), willProps(v), text("w"), text(""))},
			{"will QoS without will [MQTT-3.1.2-11] [MQTT311-3.1.2-13]", rawConnect(v, clean|willQoS1, text("a"))},
			{"will QoS 3 [MQTT-3.1.2-12] [MQTT311-3.1.2-14]", rawConnect(v, clean|will|willQoS3, text("a"), willProps(v), text("w"), text(""))},
			{"will retain without will [MQTT-3.1.2-13] [MQTT311-3.1.2-15]", rawConnect(v, clean|willRetain, text("a"))},
			{"user name without flag [MQTT-3.1.2-16] [MQTT311-3.1.2-18]", rawConnect(v, clean, text("a"), text("u"))},
			{"no user name [MQTT-3.1.2-17] [MQTT311-3.1.2-19]", rawConnect(v, clean|user, text("a"))},
			{"user name is no UTF-8 [MQTT-3.1.3-12] [MQTT311-3.1.3-11]", rawConnect(v, clean|user, text("a"), text(bad))},
			{"password without flag [MQTT-3.1.2-18] [MQTT311-3.1.2-20]", rawConnect(v, clean|user, text("a"), text("u"), text("p"))},
			{"no password [MQTT-3.1.2-19] [MQTT311-3.1.2-21]", rawConnect(v, clean|user|password, text("a"), text("u"))},
		} {
			t.Run(fmt.Sprintf("level %d %s", v, test.why), func(t *testing.T) {
				script(t, func(s *server) {
					p := s.peer(v)
					p.WriteBytes(test.b...)
					if v == packet.V5 {
						p.Want("refusal", &packet.Connack{Reason: packet.MalformedPacket})
					}
					p.WantClosed("refused")
				})
			})
		}
	}
}

// A password alone is for 5.0 only. [MQTT311-3.1.2-22]
func TestPasswordAlone(t *testing.T) {
	script(t, func(s *server) {
		old := s.peer(packet.V311)
		old.WriteBytes(rawConnect(packet.V311, clean|password, text("a"), text("p"))...)
		old.WantClosed("3.1.1")
		p := s.peer(packet.V5)
		p.WriteBytes(rawConnect(packet.V5, clean|password, text("a"), text("p"))...)
		if got, ok := p.next().(*packet.Connack); !ok || got.Reason != packet.Success {
			t.Errorf("got %+v, want success", got)
		}
	})
}

// The fields come in their order, and each is what it is. [MQTT-3.1.3-1] [MQTT311-3.1.3-1]
func TestConnectWithAllFields(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w := s.client(v, "watcher")
		w.Subscribe("will/#", 0)
		p := s.peer(v)
		c := hello(v, "client", withWill(packet.Will{Topic: "will/topic", Payload: []byte("message")}))
		c.HasUser, c.Username, c.HasPass, c.Password = true, "nobody", true, []byte("p")
		p.Write(c)
		p.Want("the user name was read as such", &packet.Connack{Reason: packet.BadUserNameOrPassword})
		p.WantClosed("refused")
		c.Username = "somebody"
		q := s.peer(v)
		q.Write(c)
		if got, ok := q.next().(*packet.Connack); !ok || got.Reason != packet.Success {
			t.Fatalf("got %+v, want success", got)
		}
		q.Leave()
		w.Want("the will was read as such", pub("will/topic", "message"))
	})
}

// [MQTT-3.1.3-5] [MQTT311-3.1.3-5]
func TestClientIDs(t *testing.T) {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	eachVersion(t, func(s *server, v packet.Version) {
		for _, id := range []string{"a", letters[:23], letters[20:43], letters[39:], letters, strings.Repeat("x", 1000), "ä/+ #$"} {
			s.client(v, id).Bye()
		}
	})
}

// A client may leave its id to the server. [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] [MQTT311-3.1.3-6]
func TestAssignedClientID(t *testing.T) {
	script(t, func(s *server) {
		a, b := s.peer(packet.V5), s.peer(packet.V5)
		first, second := a.connect("", fresh).Props.AssignedClientID, b.connect("").Props.AssignedClientID
		if first == "" || second == "" || first == second {
			t.Fatalf("got client ids %q and %q, want two different ones", first, second)
		}
		a.Subscribe("t", 1)
		a.Leave()
		b.Write(pubQ(1, 1, "t", "kept"))
		b.Want("PUBACK", received(1, 1))
		again := s.peer(packet.V5)
		if !again.connect(first, keep).SessionPresent {
			t.Error("got no session under the assigned id, want it")
		}
		again.Want("kept for it", pubQ(1, 2, "t", "kept"))
		c, d := s.client(packet.V311, ""), s.client(packet.V311, "")
		c.Subscribe("t", 0)
		d.Subscribe("t", 0)
		b.Write(pub("t", "x"))
		c.Want("3.1.1: one client", pub("t", "x"))
		d.Want("3.1.1: and another", pub("t", "x"))
	})
}

// Before 5.0 an id is needed where a session is to be kept, and in 3.1 always. [MQTT311-3.1.3-7] [MQTT311-3.1.3-8]
func TestNoClientID(t *testing.T) {
	script(t, func(s *server) {
		p := s.peer(packet.V311)
		p.Write(hello(packet.V311, "", keep))
		p.Want("3.1.1, not clean", &packet.Connack{Reason: packet.ClientIdentifierNotValid})
		p.WantClosed("3.1.1, not clean")
		q := s.peer(packet.V31)
		q.Write(hello(packet.V31, ""))
		q.Want("3.1", &packet.Connack{Reason: packet.ClientIdentifierNotValid})
		q.WantClosed("3.1")
	})
}

// Who is refused is told why, and nothing after its CONNECT counts. [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT-3.2.2-6]
// [MQTT-3.2.2-7] [MQTT311-3.1.4-5] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5]
func TestConnectRefused(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w := s.client(v, "watcher")
		w.Subscribe("#", 0)
		nobody := func(c *packet.Connect) { c.HasUser, c.Username = true, "nobody" }
		secret := withWill(packet.Will{Topic: "secret"})
		s.client(v, "known", fresh).Leave()
		for _, test := range []struct {
			id     string
			how    how
			reason packet.ReasonCode
		}{
			{"known", nobody, packet.BadUserNameOrPassword},
			{"bad id", keep, packet.ClientIdentifierNotValid}, // [MQTT-3.1.3-8] [MQTT311-3.1.3-9]
			{"a", secret, packet.NotAuthorized},
		} {
			p := s.peer(v)
			p.Write(hello(v, test.id, keep, test.how), pub("a", "after the refusal"), &packet.Pingreq{})
			p.Want("refusal", &packet.Connack{Reason: test.reason})
			p.WantClosed("refused")
		}
		w.WantIdle("nothing was published")
	})
}

// The client id is the session's name: a second connection takes it over, another id has nothing to do with it.
// [MQTT-3.1.3-2] [MQTT-3.1.4-3] [MQTT311-3.1.3-2] [MQTT311-3.1.4-2]
func TestTakeover(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		first, other := s.client(v, "a", fresh), s.client(v, "b")
		first.Subscribe("t", 1)
		second := s.peer(v)
		present := second.connect("a", keep).SessionPresent
		if v == packet.V5 && !present {
			t.Error("got no session, want the one taken over")
		}
		first.WantGone("taken over", packet.SessionTakenOver)
		other.Write(pubQ(1, 1, "t", "x"))
		other.Want("the other client is untouched", received(1, 1))
		if v == packet.V5 {
			second.Want("the session goes on", pubQ(1, 2, "t", "x"))
		}
	})
}

// [MQTT-3.1.2-28]
func TestResponseInformation(t *testing.T) {
	scriptWith(t, func(c *broker.Config) { c.ResponseInfo = "answers/" }, func(s *server) {
		ask := func(b byte) how {
			return func(c *packet.Connect) {
				set(c, packet.PropRequestResponseInfo, func(p *packet.Properties) { p.RequestResponseInfo = b })
			}
		}
		for _, test := range []struct {
			hows []how
			want string
		}{{nil, ""}, {[]how{ask(0)}, ""}, {[]how{ask(1)}, "answers/"}} {
			if got := s.peer(packet.V5).connect("a", test.hows...).Props.ResponseInfo; got != test.want {
				t.Errorf("got response information %q, want %q", got, test.want)
			}
		}
	})
}
