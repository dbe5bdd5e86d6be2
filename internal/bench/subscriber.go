package bench

import (
	"fmt"

	"mangrove/mqtt/packet"
)

// subscriber takes messages and checks what came against what was published.
type subscriber struct {
	c       *conn
	f       *flow
	filters []string
	first   uint32   // stream of tracks[0]
	tracks  []track  // streams it gets whole
	sparse  []sparse // or: streams of which it gets some, from stream 0
	publish packet.Publish
}

func newSubscriber(f *flow, name string, filters ...string) *subscriber {
	s := &subscriber{c: f.client(name), f: f, filters: filters}
	s.c.role = s
	return s
}

// whole makes s expect every message of n streams from first on.
func (s *subscriber) whole(first uint32, n int) {
	s.first, s.tracks = first, make([]track, n)
}

func (s *subscriber) packet(c *conn, kind packet.Type, flags byte, body []byte) error {
	switch kind {
	case packet.PUBLISH:
		return s.take(c, flags, body)
	case packet.PUBREL:
		s.f.ack.Kind = kind
		if err := s.f.ack.Decode(flags, body, c.v); err != nil {
			return err
		}
		c.ack(packet.PUBCOMP, s.f.ack.PacketID) // MQTT 5.0, section 4.3.3
		return nil
	}
	return fmt.Errorf("got %v, which was not expected", kind)
}

func (s *subscriber) take(c *conn, flags byte, body []byte) error {
	p := &s.publish
	if err := p.Decode(flags, body, c.v); err != nil {
		return err
	}
	switch p.QoS {
	case 1:
		c.ack(packet.PUBACK, p.PacketID)
	case 2:
		c.ack(packet.PUBREC, p.PacketID)
	}
	if p.QoS != s.f.cfg.QoS {
		return fmt.Errorf("got a message with QoS %d, want %d", p.QoS, s.f.cfg.QoS)
	}
	m, ok := readStamp(p.Payload)
	if !ok || m.run != s.f.run || int(m.stream) >= len(s.f.pubs) || len(p.Payload) != s.f.cfg.Payload {
		return fmt.Errorf("got a message that nobody here published, on topic %q", p.Topic)
	}
	s.f.count(s.check(&m), &m)
	return nil
}

func (s *subscriber) check(m *stamp) arrival {
	pub := s.f.pubs[m.stream]
	if s.sparse != nil {
		a := s.sparse[m.stream].got(m.seq, pub.delivered)
		if a == inOrder {
			pub.delivered(m.seq)
		}
		return a
	}
	i := m.stream - s.first
	if int(i) >= len(s.tracks) || m.seq >= pub.next {
		return duplicated // of a stream it did not ask for: as wrong as having it twice
	}
	a, gap := s.tracks[i].got(m.seq)
	for ; gap.from < gap.to; gap.from++ {
		pub.delivered(gap.from) // or never will be: the window must not wait
	}
	if a == inOrder {
		pub.delivered(m.seq)
	}
	return a
}

// lost is how many messages are missing.
func (s *subscriber) lost() (n uint64) {
	for i := range s.tracks {
		n += s.tracks[i].lost(s.f.pubs[int(s.first)+i].next)
	}
	for i := range s.sparse {
		n += s.sparse[i].lost()
	}
	return n
}
