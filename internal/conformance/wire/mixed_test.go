package wire

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// A message crosses versions with what each can carry, live, queued and retained.
func TestVersionsMix(t *testing.T) {
	for _, from := range versions {
		t.Run(fmt.Sprint("from level ", from), func(t *testing.T) {
			script(t, func(s *server) {
				p := s.client(from, "p")
				for _, to := range versions {
					s.client(to, fmt.Sprint("live", to)).Subscribe("t", 2)
				}
				for _, to := range versions {
					w := s.client(to, fmt.Sprint("away", to), keep)
					w.Subscribe("t", 2)
					w.Leave()
				}
				m := with(pubQ(2, 9, "t", "x"), props())
				m.Retain = true
				p.Write(m)
				p.Want("PUBREC", received(2, 9))
				s.Restart()
				want := func(id uint16, retain bool, to packet.Version) *packet.Publish {
					got := pubQ(2, id, "t", "x")
					if got.Retain = retain; from == packet.V5 && to == packet.V5 {
						got.Props = props()
					}
					return got
				}
				for _, to := range versions {
					s.client(to, fmt.Sprint("away", to), keep).Want("queued", want(2, false, to))
					late := s.client(to, fmt.Sprint("late", to))
					late.Subscribe("t", 2)
					late.Want("retained", want(2, true, to))
				}
			})
		})
	}
}

// A session is the same whatever version its client speaks next.
func TestSessionChangesVersion(t *testing.T) {
	for _, before := range versions {
		for _, after := range versions {
			t.Run(fmt.Sprintf("%d to %d", before, after), func(t *testing.T) {
				script(t, func(s *server) {
					w := s.client(before, "w", keep)
					w.Subscribe("t", 2)
					p := s.client(packet.V5, "p")
					p.Write(pubQ(2, 1, "t", "x"), pubQ(1, 2, "t", "y"))
					w.Want("QoS 2", pubQ(2, 2, "t", "x"))
					w.Want("QoS 1", pubQ(1, 3, "t", "y"))
					w.Write(ack(packet.PUBREC, 2, 0))
					w.Want("PUBREL", ack(packet.PUBREL, 2, 0))
					again := s.peer(after) // while the first is still connected
					if c := again.connect("w", keep); after != packet.V31 && !c.SessionPresent {
						t.Error("got no session, want it")
					}
					w.WantGone("taken over", packet.SessionTakenOver)
					again.Want("PUBREL", ack(packet.PUBREL, 2, 0))
					again.Want("again", dup(pubQ(1, 3, "t", "y")))
				})
			})
		}
	}
}

// What a subscription asked for is kept with it: identifier, No Local, Retain As Published. Queued messages keep their
// identifiers. Section 4.1.
func TestSubscriptionOptionsAreKept(t *testing.T) {
	script(t, func(s *server) {
		w := s.client(packet.V5, "w", fresh)
		for i, f := range []packet.SubscribeFilter{{Filter: "t", QoS: 1, NoLocal: true, RetainAsPublished: true}, {Filter: "+", QoS: 1, NoLocal: true}} {
			w.Write(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{f},
				Props: (&packet.Properties{SubscriptionIDs: []uint32{uint32(i + 1)}}).Mark(packet.PropSubscriptionID)})
			w.Want("SUBACK", suback(1, 1))
		}
		w.Leave()
		check := func(why string, w *peer) {
			t.Helper()
			got, ok := w.next().(*packet.Publish)
			if !ok || !got.Retain || !slices.Equal(slices.Sorted(slices.Values(got.Props.SubscriptionIDs)), []uint32{1, 2}) {
				t.Errorf("%s: got %+v, want RETAIN and both identifiers", why, got)
			}
			w.WantIdle(why)
		}
		p := s.client(packet.V5, "p")
		queued := pubQ(1, 1, "t", "queued")
		queued.Retain = true
		p.Write(queued)
		p.Want("PUBACK", received(1, 1))
		s.Restart()
		w = s.client(packet.V5, "w", keep)
		check("queued", w)
		w.Write(pub("t", "its own"))
		w.WantIdle("no local")
		s.client(packet.V5, "p").Write(retained("t", "live"))
		check("live", w)
	})
}

// With a clean start packet ids are free: what a former session had begun is no repeat. [MQTT-3.1.2-4] [MQTT311-3.1.2-6]
func TestCleanStartFreesPacketIDs(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w := s.client(v, "w")
		w.Subscribe("t", 0)
		p := s.client(v, "p", keep)
		p.Write(pubQ(2, 5, "t", "x"))
		p.Want("PUBREC", received(2, 5))
		w.Want("first", pub("t", "x"))
		p.Leave()
		p = s.client(v, "p")
		p.Write(pubQ(2, 5, "t", "x"))
		p.Want("PUBREC", received(2, 5))
		w.Want("a new message", pub("t", "x"))
		p.Write(ack(packet.PUBREL, 5, 0))
		p.Want("PUBCOMP", ack(packet.PUBCOMP, 5, 0))
	})
}

// Sections 3.1.2.11, 3.8.2.1.2: what must not be 0, and what must not come twice.
func TestPropertiesThatCannotBe(t *testing.T) {
	script(t, func(s *server) {
		for why, h := range map[string]how{"Receive Maximum": window(0), "Maximum Packet Size": atMost(0)} {
			p := s.peer(packet.V5)
			p.Write(hello(packet.V5, "p", h))
			p.Want(why, &packet.Connack{Reason: packet.ProtocolError})
			p.WantClosed(why)
		}
		p := s.client(packet.V5, "p")
		p.WriteBytes(0x82, 9, 0, 1, 2, 0x0B, 0, 0, 1, 't', 0)
		p.WantGone("subscription identifier 0", packet.ProtocolError)
		p = s.client(packet.V5, "p")
		p.WriteBytes(0x82, 11, 0, 1, 4, 0x0B, 1, 0x0B, 1, 0, 1, 't', 0)
		p.WantGone("two subscription identifiers", packet.ProtocolError)
	})
}

// A will waits for its delay over a restart, and its expiry is counted from its publication. Section 3.1.3.2.
func TestDelayedWillOverRestart(t *testing.T) {
	script(t, func(s *server) {
		w := s.client(packet.V5, "w", fresh)
		w.Subscribe("w", 1)
		will := delayed(600)
		will.QoS, will.Props.MessageExpiry = 1, 100
		will.Props.Mark(packet.PropMessageExpiry)
		s.client(packet.V5, "c", keep, withWill(will)).Leave()
		time.Sleep(5 * time.Minute)
		s.Restart()
		w = s.client(packet.V5, "w", keep)
		time.Sleep(4 * time.Minute)
		w.WantIdle("within the delay")
		time.Sleep(2 * time.Minute)
		w.Want("after it", expiring(pubQ(1, 2, "w", "gone"), 100))
	})
}
