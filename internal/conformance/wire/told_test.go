package wire

import (
	"errors"
	"testing"

	"mangrove/mqtt"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// told is a packet with which the server explains something.
type told struct {
	name string
	get  func(s *server, hows ...how) packet.Packet
}

// refusals are one for each packet that can have a reason string.
var refusals = []told{
	{"CONNACK", func(s *server, hows ...how) packet.Packet {
		p := s.peer(packet.V5)
		p.Write(hello(packet.V5, "a", append(hows, func(c *packet.Connect) { c.HasUser, c.Username = true, "nobody" })...))
		return p.next()
	}},
	{"PUBACK", ask(pubQ(1, 1, "secret", ""))},
	{"PUBREC", ask(pubQ(2, 1, "secret", ""))},
	{"PUBREL", ask(ack(packet.PUBREC, 7, 0))},
	{"PUBCOMP", ask(ack(packet.PUBREL, 7, 0))},
	{"SUBACK", ask(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "secret"}}})},
	{"UNSUBACK", ask(&packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}})},
	{"DISCONNECT", ask(&packet.Pingresp{})},
}

// ask connects, sends p and returns the answer.
func ask(p packet.Packet) func(*server, ...how) packet.Packet {
	return func(s *server, hows ...how) packet.Packet {
		q := s.client(packet.V5, "a", hows...)
		q.Write(p)
		return q.next()
	}
}

// forgetful makes sessions that cannot forget a subscription.
func forgetful(c *broker.Config) { c.Sessions = forgetfulSessions{c.Sessions} }

type forgetfulSessions struct{ mqtt.Sessions }

type forgetfulSession struct{ mqtt.Session }

func (f forgetfulSessions) Open(req mqtt.OpenRequest, out mqtt.Outlet) (mqtt.Session, bool, error) {
	s, present, err := f.Sessions.Open(req, out)
	return forgetfulSession{s}, present, err
}

func (forgetfulSession) Unsubscribe([]string) ([]bool, error) { return nil, errors.New("disk broke") }

// hasReason tells whether p has a reason string, and checks that it has no user properties.
func hasReason(t *testing.T, p packet.Packet) bool {
	t.Helper()
	if p == nil {
		t.Fatal("got nothing, want a packet")
	}
	props := *propsOf(p)
	if props.Has(packet.PropUser) {
		t.Errorf("got user properties %v, want none", props.User)
	}
	return props.Has(packet.PropReasonString)
}

// A reason string is sent when it fits into the client's Maximum Packet Size, to the byte, and left out when it does not.
// User properties are not sent. [MQTT-3.1.2-24] [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.4.2-2] [MQTT-3.4.2-3]
// [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2]
// [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4]
func TestReasonStringsFit(t *testing.T) {
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			scriptWith(t, forgetful, func(s *server) {
				whole := r.get(s)
				if !hasReason(t, whole) {
					t.Fatalf("got %s without a reason string, want one", show(whole))
				}
				size := uint32(len(whole.Append(nil, packet.V5)))
				if !hasReason(t, r.get(s, atMost(size))) {
					t.Errorf("at most %d bytes: got no reason string, want it", size)
				}
				less := r.get(s, atMost(size-1))
				if hasReason(t, less) {
					t.Errorf("at most %d bytes: got a reason string, want none", size-1)
				}
				if less.Type() != whole.Type() {
					t.Errorf("got %v, want %v", less.Type(), whole.Type())
				}
			})
		})
	}
}

// Who does not want problem information gets it in CONNACK and DISCONNECT at most. [MQTT-3.1.2-29]
func TestNoProblemInformation(t *testing.T) {
	none := func(c *packet.Connect) {
		set(c, packet.PropRequestProblemInfo, func(p *packet.Properties) { p.RequestProblemInfo = 0 })
	}
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			scriptWith(t, forgetful, func(s *server) {
				if got := r.get(s, none); hasReason(t, got) && r.name != "CONNACK" && r.name != "DISCONNECT" {
					t.Errorf("got %s, want no reason string", show(got))
				}
			})
		})
	}
}

// What is larger than the client takes is not sent, and counts as if it had been. [MQTT-3.1.2-24] [MQTT-3.1.2-25]
func TestMaximumPacketSizeOfTheClient(t *testing.T) {
	script(t, func(s *server) {
		w, p := s.client(packet.V5, "w", fresh, atMost(30), window(1)), s.client(packet.V5, "p")
		w.Subscribe("t", 1)
		fits := pubQ(1, 2, "t", "12345678901234567890")
		fits.Payload = append(fits.Payload, make([]byte, 30-len(fits.Append(nil, packet.V5)))...)
		large := string(fits.Payload) + "x"
		p.Write(pubQ(1, 1, "t", large), pubQ(1, 2, "t", string(fits.Payload)), pub("t", large+"xx"))
		p.Want("accepted", received(1, 1))
		p.Want("accepted", received(1, 2))
		got, ok := w.next().(*packet.Publish)
		if !ok || string(got.Payload) != string(fits.Payload) {
			t.Fatalf("got %+v, want the message that fits", got)
		}
		w.Write(ack(packet.PUBACK, got.PacketID, 0))
		w.WantIdle("nothing else")
		w.Leave()
		s.client(packet.V5, "w", keep).WantIdle("nothing is left of it")
	})
}

// A client that sends more than the server takes is disconnected. [MQTT-3.2.2-15]
func TestMaximumPacketSizeOfTheServer(t *testing.T) {
	scriptWith(t, func(c *broker.Config) { c.MaxPacket = 1000 }, func(s *server) {
		for _, v := range versions {
			p := s.peer(v)
			if got := p.connect("p"); v == packet.V5 && got.Props.MaximumPacketSize != 1000 {
				t.Errorf("got %+v, want a Maximum Packet Size of 1000", got.Props)
			}
			m := pubQ(1, 1, "t", "")
			m.Payload = make([]byte, 1000-len(m.Append(nil, v))-1) // a length in two bytes
			p.Write(m)
			p.Want("1000 bytes", ack(packet.PUBACK, 1, packet.NoMatchingSubscribers))
			m.Payload = append(m.Payload, 0)
			p.Write(m)
			p.WantGone("1001 bytes", packet.PacketTooLarge)
		}
	})
}
