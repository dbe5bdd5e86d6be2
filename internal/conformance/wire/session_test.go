package wire

import (
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// connack connects, and returns the CONNACK and the connection.
func (s *server) connack(v packet.Version, id string, hows ...how) (*packet.Connack, *peer) {
	s.t.Helper()
	p := s.peer(v)
	return p.connect(id, hows...), p
}

// A session is made, goes on, and is thrown away, as CONNECT asks, and CONNACK tells which. 3.1 has no flag for it.
// [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT-3.1.4-4] [MQTT-3.1.4-5] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
// [MQTT311-3.1.2-4] [MQTT311-3.1.2-5] [MQTT311-3.1.2-6] [MQTT311-3.1.4-3] [MQTT311-3.1.4-4] [MQTT311-3.2.2-1]
// [MQTT311-3.2.2-2] [MQTT311-3.2.2-3]
func TestSession(t *testing.T) {
	for name, between := range map[string]func(*server){"reconnected": func(*server) {}, "restarted": (*server).Restart} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(s *server, v packet.Version) {
				present := func(why string, c *packet.Connack, want bool) {
					t.Helper()
					if v != packet.V31 && c.SessionPresent != want {
						t.Errorf("%s: got session present %v, want %v", why, c.SessionPresent, want)
					}
				}
				c, w := s.connack(v, "w", keep)
				present("none yet", c, false)
				w.Subscribe("t", 1)
				w.Leave()
				s.publish(v, "t", "while away")
				between(s)
				c, w = s.connack(v, "w", keep)
				present("goes on", c, true)
				w.Want("kept", pubQ(1, 2, "t", "while away"))
				w.Leave()
				between(s)
				c, w = s.connack(v, "w")
				present("clean", c, false)
				w.WantIdle("nothing of the old one")
				s.publish(v, "t", "x")
				w.WantIdle("no subscription either")
				w.Subscribe("t", 1)
				w.Leave()
				s.publish(v, "t", "after the end")
				between(s)
				c, w = s.connack(v, "w", keep)
				present("the clean one ended", c, false)
				w.WantIdle("nothing of it")
			})
		})
	}
}

// publish publishes one QoS 1 message.
func (s *server) publish(v packet.Version, topic, payload string) {
	s.t.Helper()
	p := s.client(v, "publisher")
	p.Write(pubQ(1, 1, topic, payload))
	if got, ok := p.next().(*packet.Ack); !ok || got.Reason >= packet.UnspecifiedError {
		s.t.Fatalf("publish: got %+v, want PUBACK", got)
	}
	p.Bye()
}

// A session lasts as long as its connection, and then for its expiry. [MQTT-3.1.2-23] [MQTT-4.1.0-1] [MQTT-4.1.0-2]
// [MQTT311-4.1.0-1] [MQTT311-4.1.0-2]
func TestSessionExpiry(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w := s.client(v, "w", keep, expiry(60))
		w.Subscribe("t", 1)
		time.Sleep(2 * time.Hour)
		s.publish(v, "t", "connected for long")
		w.Want("the session is there", pubQ(1, 2, "t", "connected for long"))
		w.Write(ack(packet.PUBACK, 2, 0))
		w.Leave()
		time.Sleep(59 * time.Second)
		c, w := s.connack(v, "w", keep, expiry(60))
		if v != packet.V31 && !c.SessionPresent {
			t.Error("within the expiry: got no session, want it")
		}
		w.Leave()
		time.Sleep(61 * time.Second)
		c, _ = s.connack(v, "w", keep)
		if v == packet.V5 && c.SessionPresent {
			t.Error("after the expiry: got a session, want none")
		}
		if v == packet.V311 && !c.SessionPresent {
			t.Error("3.1.1: got no session, want it for ever")
		}
	})
}

// DISCONNECT can change the expiry. Sections 3.14.2.2.2 and [MQTT-4.1.0-2].
func TestDisconnectChangesExpiry(t *testing.T) {
	script(t, func(s *server) {
		bye := func(seconds uint32) *packet.Disconnect {
			return &packet.Disconnect{Props: (&packet.Properties{SessionExpiry: seconds}).Mark(packet.PropSessionExpiry)}
		}
		p := s.client(packet.V5, "c", keep)
		p.Write(bye(0))
		p.WantClosed("goodbye")
		c, p := s.connack(packet.V5, "c", keep, expiry(10))
		if c.SessionPresent {
			t.Error("expiry 0: got a session, want none")
		}
		p.Write(bye(1000))
		p.WantClosed("goodbye")
		time.Sleep(999 * time.Second)
		if c, p = s.connack(packet.V5, "c"); c.SessionPresent {
			t.Error("clean start: got session present, want none")
		}
		p.Write(bye(5))
		p.WantGone("an expiry where it was 0", packet.ProtocolError)
	})
}
