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
