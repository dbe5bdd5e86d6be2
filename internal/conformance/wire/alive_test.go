package wire

import (
	"testing"
	"time"

	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// Without a word for 1.5 times its keep alive a client is gone; PINGREQ is a word. [MQTT-3.1.2-22] [MQTT-3.2.2-22]
// [MQTT-3.12.4-1] [MQTT311-3.1.2-24] [MQTT311-3.12.4-1]
func TestKeepAlive(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		p := s.client(v, "a", alive(10))
		for range 3 {
			time.Sleep(14 * time.Second)
			p.Write(&packet.Pingreq{})
			p.Want("heard in time", &packet.Pingresp{})
		}
		time.Sleep(15 * time.Second)
		p.WantIdle("1.5 times")
		time.Sleep(time.Second)
		p.WantGone("more", packet.KeepAliveTimeout)
		never := s.client(v, "b")
		time.Sleep(2 * time.Hour)
		never.WantIdle("keep alive 0")
	})
}

// Bytes that never become a packet are no sign of life; a large packet on a slow line is, by the kilobyte. [MQTT-3.1.2-22]
// [MQTT311-3.1.2-24]
func TestKeepAliveOfPieces(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		m := pubQ(1, 1, "t", string(make([]byte, 5000))).Append(nil, v)
		p, slow := s.client(v, "p", alive(10)), s.client(v, "slow", alive(10))
		for i := range 4 {
			p.WriteBytes(m[i])
			slow.WriteBytes(m[i*1100 : (i+1)*1100]...)
			time.Sleep(5 * time.Second)
		}
		p.WantGone("20 s without a packet", packet.KeepAliveTimeout)
		slow.WriteBytes(m[4400:]...)
		slow.Want("PUBACK", ack(packet.PUBACK, 1, packet.NoMatchingSubscribers))
	})
}

// A server's keep alive outranks the client's. [MQTT-3.1.2-21] [MQTT-3.2.2-21]
func TestServerKeepAlive(t *testing.T) {
	scriptWith(t, func(c *broker.Config) { c.KeepAliveMax = 20 * time.Second }, func(s *server) {
		p := s.peer(packet.V5)
		if got := p.connect("a", alive(100)).Props.ServerKeepAlive; got != 20 {
			t.Errorf("got server keep alive %d, want 20", got)
		}
		time.Sleep(31 * time.Second)
		p.WantGone("1.5 times the server's", packet.KeepAliveTimeout)
		q := s.peer(packet.V5)
		if q.connect("b", alive(10)).Props.Has(packet.PropServerKeepAlive) {
			t.Error("got a server keep alive, want the client's own to count")
		}
	})
}
