package wire

import (
	"fmt"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// A QoS 1 packet id is free again with its PUBACK, whatever DUP says. [MQTT-4.3.2-5] [MQTT311-4.3.2-2]
func TestPacketIDAfterPuback(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w, p := s.client(v, "w"), s.client(v, "p")
		w.Subscribe("t", 0)
		for _, m := range []*packet.Publish{pubQ(1, 5, "t", "1"), pubQ(1, 5, "t", "2"), dup(pubQ(1, 5, "t", "3"))} {
			p.Write(m)
			p.Want("PUBACK", received(1, 5))
			w.Want("a new message", pub("t", string(m.Payload)))
		}
	})
}

// A QoS 2 message is delivered once, however often it is sent until PUBREL; with PUBCOMP its id is free. A PUBREL for an
// id that is not in use is answered too. The same over connections and restarts of the server. [MQTT-4.3.3-10]
// [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT311-4.3.3-2]
func TestQoS2Once(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w := s.client(v, "w")
		w.Subscribe("t", 0)
		p := s.client(v, "p", keep)
		m := pubQ(2, 5, "t", "once")
		p.Write(m)
		w.Want("first", pub("t", "once"))
		p.Want("PUBREC", received(2, 5))
		for _, again := range []*packet.Publish{dup(m), m} {
			p.Write(again)
			p.Want("PUBREC again", received(2, 5))
		}
		p.Leave()
		p = s.client(v, "p", keep)
		p.Write(dup(m))
		p.Want("PUBREC on another connection", received(2, 5))
		w.WantIdle("delivered once")
		s.Restart()
		w = s.client(v, "w")
		w.Subscribe("t", 0)
		p = s.client(v, "p", keep)
		p.Write(dup(m))
		p.Want("PUBREC after a restart", received(2, 5))
		w.WantIdle("delivered once")
		p.Write(ack(packet.PUBREL, 5, 0))
		p.Want("PUBCOMP", ack(packet.PUBCOMP, 5, 0))
		unknown := packet.PacketIDNotFound
		if v != packet.V5 {
			unknown = packet.Success
		}
		p.Write(ack(packet.PUBREL, 5, 0))
		p.Want("PUBCOMP for an unknown id", ack(packet.PUBCOMP, 5, unknown))
		p.Write(dup(m))
		p.Want("PUBREC", received(2, 5))
		w.Want("a new message", pub("t", "once"))
	})
}

// A PUBREC with an error ends the exchange on the server's side. [MQTT-4.3.3-9]
func TestQoS2Refused(t *testing.T) {
	script(t, func(s *server) {
		w, p := s.client(packet.V5, "w"), s.client(packet.V5, "p")
		w.Subscribe("t", 0)
		p.Write(pubQ(2, 5, "secret", "x"))
		p.Want("refused", ack(packet.PUBREC, 5, packet.NotAuthorized))
		p.Write(pubQ(2, 5, "t", "x"))
		p.Want("PUBREC", received(2, 5))
		w.Want("a new message", pub("t", "x"))
	})
}

// What was not acknowledged is sent again on the next connection, with DUP, its id and in its order; what PUBREC came for
// goes on with PUBREL; and nothing is sent again on the same connection. [MQTT-3.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.2-3]
// [MQTT-4.3.3-1] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1] [MQTT-4.6.0-1]
// [MQTT311-2.3.1-4] [MQTT311-3.3.1-1] [MQTT311-4.3.2-1] [MQTT311-4.3.3-1] [MQTT311-4.4.0-1] [MQTT311-4.6.0-1]
func TestSentAgain(t *testing.T) {
	for name, between := range map[string]func(*server){"reconnected": func(*server) {}, "restarted": (*server).Restart} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(s *server, v packet.Version) {
				w, p := s.client(v, "w", keep), s.client(v, "p")
				w.Subscribe("t", 2)
				sent := []*packet.Publish{pubQ(1, 2, "t", "a"), pubQ(2, 3, "t", "b"), pubQ(1, 4, "t", "c"), pubQ(2, 5, "t", "d"), pubQ(1, 6, "t", "e")}
				for i, m := range sent {
					q := *m
					q.PacketID = uint16(i + 1)
					p.Write(&q)
					p.Want("accepted", received(q.QoS, q.PacketID))
					w.Want("first", m)
				}
				w.Write(ack(packet.PUBACK, 4, 0), ack(packet.PUBREC, 3, 0))
				w.Want("PUBREL", ack(packet.PUBREL, 3, 0))
				time.Sleep(time.Hour)
				w.WantIdle("not on the same connection")
				for range 2 {
					w.Leave()
					between(s)
					w = s.client(v, "w", keep)
					w.Want("again", dup(sent[0]))
					w.Want("PUBREL again", ack(packet.PUBREL, 3, 0))
					w.Want("again", dup(sent[3]))
					w.Want("again", dup(sent[4]))
					w.WantIdle("no more")
				}
				w.Write(ack(packet.PUBACK, 2, 0), ack(packet.PUBCOMP, 3, 0))
				w.Take(2, 5)
				w.Take(1, 6)
				w.Leave()
				between(s)
				s.client(v, "w", keep).WantIdle("all acknowledged")
			})
		})
	}
}

// An acknowledgement with an error is an acknowledgement. [MQTT-4.4.0-2]
func TestErrorAcknowledges(t *testing.T) {
	script(t, func(s *server) {
		w, p := s.client(packet.V5, "w", fresh), s.client(packet.V5, "p")
		w.Subscribe("t", 2)
		p.Write(pubQ(1, 1, "t", "x"), pubQ(2, 2, "t", "y"))
		w.Want("QoS 1", pubQ(1, 2, "t", "x"))
		w.Want("QoS 2", pubQ(2, 3, "t", "y"))
		w.Write(ack(packet.PUBACK, 2, packet.QuotaExceeded), ack(packet.PUBREC, 3, packet.QuotaExceeded))
		w.WantIdle("no PUBREL")
		w.Leave()
		s.client(packet.V5, "w", keep).WantIdle("not sent again")
	})
}

// PUBREL packets leave in the order of the PUBREC packets, and acknowledgements in that of the PUBLISH packets.
// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] [MQTT311-4.6.0-2] [MQTT311-4.6.0-3] [MQTT311-4.6.0-4]
func TestOrderOfAcknowledgements(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w, p := s.client(v, "w", keep), s.client(v, "p")
		w.Subscribe("t/#", 2)
		var all []packet.Packet
		for i := range uint16(40) {
			topic := []string{"t/1", "t/2", "nobody"}[i%3]
			all = append(all, pubQ(byte(1+i%2), 100+i, topic, "x"))
		}
		p.Write(all...)
		for i := range uint16(40) {
			want := received(byte(1+i%2), 100+i)
			if i%3 == 2 {
				want.Reason = packet.NoMatchingSubscribers
			}
			p.Want("in order", want)
		}
		var ids []uint16
		for m := w.next(); m != nil; m = w.next() {
			if m := m.(*packet.Publish); m.QoS == 2 {
				ids = append([]uint16{m.PacketID}, ids...)
			}
		}
		for _, id := range ids {
			w.Write(ack(packet.PUBREC, id, 0))
		}
		for _, id := range ids {
			w.Want("PUBREL in the order of PUBREC", ack(packet.PUBREL, id, 0))
		}
	})
}

// Messages of one client, topic and QoS keep their order, from the queue too. [MQTT-4.6.0-5] [MQTT-4.6.0-6]
// [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]
func TestOrderOfMessages(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		live, p := s.client(v, "live"), s.client(v, "p")
		away := s.client(v, "away", keep)
		live.Subscribe("t", 1)
		away.Subscribe("t", 1)
		away.Leave()
		for i := range uint16(300) {
			p.Write(pubQ(1, i+1, "t", fmt.Sprint(i)))
			live.Want("live", pubQ(1, i+2, "t", fmt.Sprint(i)))
			live.Write(ack(packet.PUBACK, i+2, 0))
		}
		away = s.client(v, "away", keep)
		for i := range uint16(300) {
			away.Want("queued", pubQ(1, i+2, "t", fmt.Sprint(i)))
			away.Write(ack(packet.PUBACK, i+2, 0))
		}
	})
}

// The client's Receive Maximum is the server's window: no more QoS 1 and 2 are on their way, and nothing else waits for it.
// [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
func TestWindowOfTheClient(t *testing.T) {
	script(t, func(s *server) {
		w, p := s.client(packet.V5, "w", window(2)), s.client(packet.V5, "p")
		w.Subscribe("t", 2)
		p.Write(pubQ(1, 1, "t", "a"), pubQ(2, 2, "t", "b"), pubQ(1, 3, "t", "c"), pubQ(2, 4, "t", "d"))
		w.Want("within", pubQ(1, 2, "t", "a"))
		w.Want("within", pubQ(2, 3, "t", "b"))
		w.WantIdle("no quota")
		p.Write(pub("t", "QoS 0"))
		w.Want("QoS 0 needs none", pub("t", "QoS 0"))
		w.Write(&packet.Pingreq{}, pubQ(1, 9, "x", ""), pubQ(2, 10, "x", ""), &packet.Subscribe{PacketID: 3, Filters: []packet.SubscribeFilter{{Filter: "u"}}})
		w.Want("PINGRESP", &packet.Pingresp{})
		w.Want("PUBACK", ack(packet.PUBACK, 9, packet.NoMatchingSubscribers))
		w.Want("PUBREC", ack(packet.PUBREC, 10, packet.NoMatchingSubscribers))
		w.Want("SUBACK", suback(3, 0))
		w.Write(ack(packet.PUBREC, 3, 0))
		w.Want("PUBREL", ack(packet.PUBREL, 3, 0))
		w.WantIdle("PUBREC gives no quota")
		w.Write(ack(packet.PUBACK, 2, 0))
		w.Want("one more", pubQ(1, 4, "t", "c"))
		w.WantIdle("and no second")
		w.Write(ack(packet.PUBCOMP, 3, 0))
		w.Want("one more", pubQ(2, 5, "t", "d"))
		w.Write(ack(packet.PUBREC, 5, packet.UnspecifiedError))
		p.Write(pubQ(1, 5, "t", "e"))
		w.Want("PUBREC with an error gives quota", pubQ(1, 6, "t", "e"))
	})
}

// The server's Receive Maximum is kept up. [MQTT-3.3.4-7]
func TestWindowOfTheServer(t *testing.T) {
	script(t, func(s *server) {
		p := s.peer(packet.V5)
		most := p.connect("p").Props.ReceiveMaximum
		if most == 0 {
			t.Fatal("got no Receive Maximum, want one")
		}
		for id := uint16(1); id <= most; id++ {
			p.Write(pubQ(2, id, "t", ""))
			p.Want("PUBREC", ack(packet.PUBREC, id, packet.NoMatchingSubscribers))
		}
		p.Write(dup(pubQ(2, 1, "t", "")))
		if _, ok := p.next().(*packet.Ack); !ok {
			t.Error("a packet sent again: got no PUBREC, want one")
		}
		p.Write(pubQ(1, most+1, "t", ""))
		p.WantGone("one too many", packet.ReceiveMaximumExceeded)
	})
}

// A QoS 2 message that was sent does not expire; one that was not does. [MQTT-4.3.3-7] [MQTT-4.3.3-13]
func TestExpiryOfWhatWasSent(t *testing.T) {
	script(t, func(s *server) {
		w, p := s.client(packet.V5, "w", fresh, window(1)), s.client(packet.V5, "p")
		w.Subscribe("t", 2)
		p.Write(expiring(pubQ(2, 1, "t", "sent"), 10), expiring(pubQ(2, 2, "t", "waits"), 10))
		w.Want("sent", expiring(pubQ(2, 2, "t", "sent"), 10))
		w.Leave()
		time.Sleep(time.Minute)
		w = s.client(packet.V5, "w", keep)
		got, ok := w.next().(*packet.Publish)
		if !ok || !got.Dup || got.PacketID != 2 || string(got.Payload) != "sent" {
			t.Fatalf("got %+v, want the message again", got)
		}
		w.Write(ack(packet.PUBREC, 2, 0))
		w.Want("PUBREL", ack(packet.PUBREL, 2, 0))
		w.Write(ack(packet.PUBCOMP, 2, 0))
		w.WantIdle("the other is over")
		p.Want("PUBREC", received(2, 1)) // the exchange with its publisher goes on too
		p.Want("PUBREC", received(2, 2))
		p.Write(ack(packet.PUBREL, 1, 0))
		p.Want("PUBCOMP", ack(packet.PUBCOMP, 1, 0))
	})
}

// A message that was accepted is in every session that wants it, connected or not. [MQTT-4.5.0-1] [MQTT311-3.1.2-5]
// [MQTT311-4.5.0-1]
func TestMessagesAreAddedToSessions(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		p := s.client(v, "p")
		for _, id := range []string{"1", "2", "3"} {
			w := s.client(v, id, keep)
			w.Subscribe("t", 2)
			w.Subscribe("other", 2)
			w.Leave()
		}
		p.Write(pubQ(1, 1, "t", "x"), pubQ(2, 2, "t", "y"))
		p.Want("PUBACK", received(1, 1))
		p.Want("PUBREC", received(2, 2))
		s.Restart()
		for _, id := range []string{"1", "2", "3"} {
			w := s.client(v, id, keep)
			w.Want("QoS 1", pubQ(1, 2, "t", "x"))
			w.Want("QoS 2", pubQ(2, 3, "t", "y"))
		}
	})
}
