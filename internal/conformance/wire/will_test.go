package wire

import (
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// endings are the ways a connection can end without a normal DISCONNECT.
var endings = map[string]func(s *server, p *peer){
	"closed":         func(_ *server, p *peer) { p.Leave() },
	"protocol error": func(_ *server, p *peer) { p.Write(hello(p.v, "c")) },
	"silence":        func(*server, *peer) { time.Sleep(16 * time.Second) },
	"taken over":     func(s *server, p *peer) { s.client(p.v, "c") },
}

// A will is stored with the session and published when the connection ends, as it was asked for.
// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-14] [MQTT311-3.1.2-8] [MQTT311-3.1.2-16]
func TestWill(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(s *server, v packet.Version) {
				w := s.client(packet.V5, "watcher")
				w.SubscribeTo(packet.SubscribeFilter{Filter: "w", QoS: 2, RetainAsPublished: true})
				p := s.client(v, "c", alive(10), withWill(packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1}))
				w.WantIdle("connected")
				end(s, p)
				w.Want("will", pubQ(1, 2, "w", "gone"))
				late := s.client(v, "late")
				late.Subscribe("w", 0)
				late.WantIdle("not retained")
			})
		})
	}
}

// [MQTT-3.1.2-15] [MQTT311-3.1.2-17]
func TestRetainedWill(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		s.client(v, "c", withWill(packet.Will{Topic: "w", Payload: []byte("gone"), Retain: true})).Leave()
		late := s.client(v, "late")
		late.Subscribe("w", 0)
		late.Want("retained", retained("w", "gone"))
	})
}

// A will goes with DISCONNECT, and it is published once. [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT311-3.1.2-10]
// [MQTT311-3.1.2-12] [MQTT311-3.14.4-3]
func TestWillIsForgotten(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w := s.client(v, "watcher")
		w.Subscribe("w", 0)
		leave := withWill(packet.Will{Topic: "w", Payload: []byte("gone")})
		s.client(v, "c", keep, leave).Bye()
		w.WantIdle("DISCONNECT")
		s.client(v, "c", keep).Leave()
		w.WantIdle("the next connection has no will")
		s.client(v, "c", keep, leave).Leave()
		w.Want("will", pub("w", "gone"))
		s.client(v, "c", keep).Leave()
		time.Sleep(2 * time.Hour)
		w.WantIdle("published once")
	})
}

func delayed(seconds uint32) packet.Will {
	return packet.Will{Topic: "w", Payload: []byte("gone"),
		Props: (&packet.Properties{WillDelay: seconds}).Mark(packet.PropWillDelay)}
}

// [MQTT-3.1.2-8] [MQTT-3.1.3-9]
func TestWillDelay(t *testing.T) {
	script(t, func(s *server) {
		w := s.client(packet.V5, "watcher")
		w.Subscribe("w", 0)
		s.client(packet.V5, "c", keep, withWill(delayed(60))).Leave()
		time.Sleep(59 * time.Second)
		w.WantIdle("within the delay")
		again := s.client(packet.V5, "c", keep, withWill(delayed(60)))
		time.Sleep(time.Hour)
		w.WantIdle("a new connection stops it")
		again.Leave()
		time.Sleep(61 * time.Second)
		w.Want("after the delay", pub("w", "gone"))
		s.client(packet.V5, "c", expiry(5), withWill(delayed(60))).Leave()
		time.Sleep(4 * time.Second)
		w.WantIdle("the session lasts")
		time.Sleep(2 * time.Second)
		w.Want("the session's end cuts the delay", pub("w", "gone"))
		s.client(packet.V5, "c", keep, withWill(delayed(60))).Leave()
		s.client(packet.V5, "c")
		w.Want("so does a clean start", pub("w", "gone"))
	})
}

// DISCONNECT with 0x04 asks for the will. [MQTT-3.1.2-8] [MQTT-3.1.2-10]
func TestDisconnectWithWill(t *testing.T) {
	script(t, func(s *server) {
		w := s.client(packet.V5, "watcher")
		w.Subscribe("w", 0)
		p := s.client(packet.V5, "c", withWill(packet.Will{Topic: "w", Payload: []byte("gone")}))
		p.Write(&packet.Disconnect{Reason: packet.DisconnectWithWill})
		p.WantClosed("goodbye")
		w.Want("will", pub("w", "gone"))
	})
}

// [MQTT-3.1.3-10]
func TestWillProperties(t *testing.T) {
	script(t, func(s *server) {
		w := s.client(packet.V5, "watcher")
		w.Subscribe("w", 0)
		props := func() *packet.Properties {
			return (&packet.Properties{ContentType: "text", ResponseTopic: "r", CorrelationData: []byte{1}, PayloadFormat: 1,
				MessageExpiry: 30, User: []packet.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "0"}}}).
				Mark(packet.PropContentType).Mark(packet.PropResponseTopic).Mark(packet.PropCorrelationData).
				Mark(packet.PropPayloadFormat).Mark(packet.PropMessageExpiry).Mark(packet.PropUser)
		}
		s.client(packet.V5, "c", withWill(packet.Will{Topic: "w", Props: props()})).Leave()
		w.Want("will", with(pub("w", ""), props()))
	})
}

// A will outlives the server. [MQTT-3.1.2-7]
func TestWillAfterRestart(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w := s.client(v, "watcher", fresh)
		w.Subscribe("w", 1)
		s.client(v, "c", fresh, withWill(packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1}))
		if v != packet.V5 { // a clean session ends with its connection
			s.client(v, "watcher", keep).Subscribe("w", 1)
			s.client(v, "c", keep, withWill(packet.Will{Topic: "w", Payload: []byte("gone"), QoS: 1}))
		}
		s.Restart()
		w = s.client(v, "watcher", keep)
		time.Sleep(time.Minute)
		got, ok := w.next().(*packet.Publish)
		if !ok || string(got.Payload) != "gone" || got.QoS != 1 {
			t.Errorf("got %+v, want the will", got)
		}
	})
}
