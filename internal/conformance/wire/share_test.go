package wire

import (
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// members connects two members of a group.
func members(s *server, v packet.Version, qos byte) (a, b *peer) {
	a, b = s.client(v, "a", keep), s.client(v, "b", keep)
	a.Subscribe("$share/g/t", qos)
	b.Subscribe("$share/g/t", qos)
	return a, b
}

// who returns the member that was sent the next message, the other one, and the message.
func who(t *testing.T, a, b *peer) (got, other *peer, m *packet.Publish) {
	t.Helper()
	if m, ok := a.next().(*packet.Publish); ok {
		return a, b, m
	}
	m, ok := b.next().(*packet.Publish)
	if !ok {
		t.Fatal("got no message at either member, want it at one")
	}
	return b, a, m
}

// Each message goes to one member, with the QoS that one was granted. [MQTT-4.8.2-3]
func TestShare(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		a, b, p := s.client(v, "a"), s.client(v, "b"), s.client(v, "p")
		a.Subscribe("$share/g/t", 0)
		b.Subscribe("$share/g/t", 1)
		counts := map[*peer]int{}
		for i := range uint16(20) {
			p.Write(pubQ(2, i+1, "t", "x"))
			p.Want("PUBREC", received(2, i+1))
			got, other, m := who(t, a, b)
			counts[got]++
			if want := map[*peer]byte{a: 0, b: 1}[got]; m.QoS != want {
				t.Errorf("got QoS %d, want %d", m.QoS, want)
			}
			got.Take(m.QoS, m.PacketID)
			other.WantIdle("one member gets it")
		}
		if counts[a] == 0 || counts[b] == 0 {
			t.Errorf("got %d and %d messages, want some for both", counts[a], counts[b])
		}
	})
}

// A QoS 2 message begun with a member is completed with that member, and ends with its session. [MQTT-4.8.2-4] [MQTT-4.8.2-5]
func TestShareQoS2(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		a, b := members(s, v, 2)
		p := s.client(v, "p")
		for i := range uint16(2) {
			p.Write(pubQ(2, i+1, "t", "x"))
			p.Want("PUBREC", received(2, i+1))
			got, other, m := who(t, a, b)
			got.Leave()
			other.WantIdle("goes to nobody else")
			id := "a"
			if got == b {
				id = "b"
			}
			if i == 0 {
				back := s.client(v, id, keep)
				back.Want("completed with the same member", dup(m))
				back.Take(2, m.PacketID)
				back.Subscribe("$share/g/t", 2)
				if a, b = back, other; id == "b" {
					a, b = other, back
				}
				continue
			}
			s.client(v, id).Leave() // a clean start ends the session
			time.Sleep(time.Hour)
			other.WantIdle("ends with its session")
		}
	})
}

// An acknowledgement with an error ends the message for all. [MQTT-4.8.2-6]
func TestShareRefused(t *testing.T) {
	script(t, func(s *server) {
		a, b := members(s, packet.V5, 2)
		p := s.client(packet.V5, "p")
		for qos := byte(1); qos <= 2; qos++ {
			p.Write(pubQ(qos, uint16(qos), "t", "x"))
			p.Want("accepted", received(qos, uint16(qos)))
			got, other, m := who(t, a, b)
			kind := packet.PUBACK
			if qos == 2 {
				kind = packet.PUBREC
			}
			got.Write(ack(kind, m.PacketID, packet.ImplementationSpecificError))
			time.Sleep(time.Hour)
			got.WantIdle("not again")
			other.WantIdle("nor elsewhere")
		}
	})
}

// What a shared filter looks like. [MQTT-3.8.3-4] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
func TestShareSyntax(t *testing.T) {
	script(t, func(s *server) {
		p := s.client(packet.V5, "p")
		for _, filter := range []string{"$share/", "$share//t", "$share/g", "$share/g/", "$share/g+/t", "$share/#/t", "$share/+/t"} {
			p.Write(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: filter}}})
			p.Want(filter, suback(1, packet.TopicFilterInvalid))
		}
		p.Write(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "$share/g/t", NoLocal: true}}})
		p.WantGone("no local", packet.ProtocolError)
	})
}

// What a member leaves when its session ends goes to another one: QoS 1 without an acknowledgement, and what was not
// sent. QoS 2 that had begun goes to nobody. The session ends by a clean start, by its expiry, or with its connection;
// a restart in between changes nothing. [MQTT-4.8.2-5]
func TestShareHandOver(t *testing.T) {
	for name, end := range map[string]func(s *server, a *peer){
		"with its connection": func(_ *server, a *peer) { a.Leave() },
		"clean start": func(s *server, a *peer) {
			a.Leave()
			s.client(a.v, "a").Leave()
		},
		"expiry": func(_ *server, a *peer) {
			a.Leave()
			time.Sleep(2 * time.Hour)
		},
		"disconnect with expiry 0": func(_ *server, a *peer) {
			p := &packet.Disconnect{Props: &packet.Properties{SessionExpiry: 0}}
			p.Props.Mark(packet.PropSessionExpiry)
			a.Write(p)
			a.WantClosed("after DISCONNECT")
		},
		"restart, clean start": func(s *server, a *peer) {
			a.Leave()
			s.Restart()
			s.client(a.v, "a").Leave()
		},
	} {
		t.Run(name, func(t *testing.T) {
			script(t, func(s *server) {
				lasts := keep
				if name == "with its connection" {
					lasts = expiry(0)
				}
				a := s.client(packet.V5, "a", lasts, window(2))
				a.Subscribe("$share/g/t", 2)
				fillWindow(s, a)
				b := s.client(packet.V5, "b", keep, expiry(1e6))
				b.Subscribe("$share/g/t", 2)
				b.Leave() // it comes back for what there is
				end(s, a)
				b = s.client(packet.V5, "b", keep, expiry(1e6))
				b.Want("in flight", pubQ(1, 2, "t", "1"))
				b.Want("never sent", pubQ(2, 3, "t", "3"))
				b.Want("never sent", pubQ(1, 4, "t", "4"))
				time.Sleep(time.Hour)
				b.WantIdle("QoS 2 that had begun, and what was acknowledged, go to nobody")
			})
		})
	}
}

// fillWindow sends a client with a window of 2 what it acknowledges, 0, then 1 with QoS 1 and 2 with QoS 2, which it does
// not, and 3 and 4, which wait.
func fillWindow(s *server, a *peer) {
	s.t.Helper()
	p := s.client(packet.V5, "p")
	for i, qos := range []byte{1, 1, 2, 2, 1} {
		payload := string(rune('0' + i))
		p.Write(pubQ(qos, uint16(i+1), "t", payload))
		p.Want("accepted", received(qos, uint16(i+1)))
		if i < 3 {
			a.Want("sent", pubQ(qos, uint16(i+2), "t", payload))
		}
		if i == 0 {
			a.Write(ack(packet.PUBACK, 2, packet.Success))
		}
	}
	a.WantIdle("its window is full")
}
