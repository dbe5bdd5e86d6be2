package paho

import (
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"mangrove/mqtt/packet"
)

// A session is made, goes on, and is thrown away, as CONNECT asks, and CONNACK tells which. [MQTT-3.1.2-4] [MQTT-3.1.2-5]
// [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT-3.1.4-4] [MQTT-3.1.4-5] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
func TestSession(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		w := s.newClient("w")
		present := func(why string, want bool, hows ...how) {
			t.Helper()
			if got := w.connect(hows...).SessionPresent; got != want {
				t.Errorf("%s: got session present %v, want %v", why, got, want)
			}
		}
		present("none yet", false, keep)
		w.subscribe("t", 1)
		w.leave()
		s.client("p").publish(pub(1, "t", "while away"))
		between(s)
		present("goes on", true, keep)
		w.want("kept", pub(1, "t", "while away"))
		w.leave()
		between(s)
		present("clean", false)
		s.client("p").publish(pub(1, "t", "x"))
		w.wantIdle("nothing of the old one")
		w.subscribe("t", 1)
		w.leave()
		s.client("p").publish(pub(1, "t", "after the end"))
		between(s)
		present("the clean one ended", false, keep)
		w.wantIdle("nothing of it")
	})
}

// A session lasts as long as its connection, and then for its expiry. [MQTT-3.1.2-23] [MQTT-4.1.0-1] [MQTT-4.1.0-2]
func TestSessionExpiry(t *testing.T) {
	script(t, func(s *server) {
		w := s.client("w", fresh, expiry(60))
		time.Sleep(2 * time.Hour)
		w.leave()
		time.Sleep(59 * time.Second)
		if !w.connect(keep, expiry(60)).SessionPresent {
			t.Error("within the expiry: got no session, want it")
		}
		w.leave()
		time.Sleep(61 * time.Second)
		if w.connect(keep).SessionPresent {
			t.Error("after the expiry: got a session, want none")
		}
	})
}

// DISCONNECT can change the expiry. Section 3.14.2.2.2 and [MQTT-4.1.0-2].
func TestDisconnectChangesExpiry(t *testing.T) {
	script(t, func(s *server) {
		bye := func(seconds uint32) paho.Disconnect {
			return paho.Disconnect{Properties: &paho.DisconnectProperties{SessionExpiryInterval: &seconds}}
		}
		c := s.client("c", keep)
		c.bye(bye(0))
		if c.connect(keep, expiry(10)).SessionPresent {
			t.Error("expiry 0: got a session, want none")
		}
		c.bye(bye(1000))
		time.Sleep(999 * time.Second)
		if !c.connect(keep, expiry(10)).SessionPresent {
			t.Error("expiry 1000 s: got no session, want it")
		}
	})
}

// A message that was accepted is in every session that wants it, connected or not. [MQTT-4.5.0-1]
func TestMessagesAreAddedToSessions(t *testing.T) {
	script(t, func(s *server) {
		var all []*client
		for _, id := range []string{"1", "2", "3"} {
			w := s.client(id, fresh)
			w.subscribe("t", 2)
			w.leave()
			all = append(all, w)
		}
		p := s.client("p")
		for qos := byte(1); qos <= 2; qos++ {
			if got := p.publish(pub(qos, "t", "x")); got != packet.Success {
				t.Fatalf("got %v, want success", got)
			}
		}
		s.Restart()
		for _, w := range all {
			w.connect(keep)
			w.want("QoS 1", pub(1, "t", "x"))
			w.want("QoS 2", pub(2, "t", "x"))
		}
	})
}
