package wire

import (
	"testing"
	"time"

	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// The figures of the whole server come at their interval, under Mosquitto's names, and only from the server.
func TestSys(t *testing.T) {
	scriptWith(t, func(c *broker.Config) { c.SysInterval = time.Minute }, func(s *server) {
		time.Sleep(time.Second)
		away := s.client(packet.V5, "away", keep, expiry(10))
		away.Subscribe("t", 1)
		away.Leave()
		s.client(packet.V5, "other", keep).Leave()
		p := s.client(packet.V5, "p")
		p.Write(pubQ(1, 1, "t", "x"))
		p.Want("PUBACK", received(1, 1))
		p.Write(pubQ(1, 2, "$SYS/broker/clients/expired", "9"))
		p.Want("nobody writes there", ack(packet.PUBACK, 2, packet.NotAuthorized))
		time.Sleep(2 * time.Minute) // two are dropped: what waited for a session that ended, and what was not permitted
		for name, want := range map[string]string{
			"clients/connected": "1", "clients/active": "1", "clients/total": "2", "clients/disconnected": "1", "clients/inactive": "1",
			"clients/maximum": "1", "clients/expired": "1", "messages/stored": "0", "store/messages/count": "0", "store/messages/bytes": "0",
			"retained messages/count": "0", "subscriptions/count": "0", "publish/messages/dropped": "2", "version": "mangrove version test",
		} {
			w := s.client(packet.V5, "w")
			w.Subscribe("$SYS/broker/"+name, 0)
			if got, ok := w.next().(*packet.Publish); !ok || string(got.Payload) != want || !got.Retain {
				t.Errorf("%s: got %+v, want %s", name, got, want)
			}
			w.Bye()
		}
	})
}
