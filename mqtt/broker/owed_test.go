package broker

import (
	"fmt"
	"testing"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// narrow are sessions whose queue has place for so many messages until the client acknowledges some.
type narrow struct {
	*memSessions
	places int
}

type narrowSession struct {
	*memSession
	free *int // connection's reader only
}

func (n narrow) Open(req mqtt.OpenRequest, out mqtt.Outlet) (mqtt.Session, bool, error) {
	s, present, err := n.memSessions.Open(req, out)
	if err != nil {
		return nil, false, err
	}
	free := n.places
	return narrowSession{s.(*memSession), &free}, present, nil
}

func (s narrowSession) Room(int) bool { return *s.free > 0 }

func (s narrowSession) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	if d.QoS > 0 {
		*s.free--
	}
	s.memSession.Deliver(m, d, r)
}

func (s narrowSession) Replay(m *mqtt.Message, d mqtt.Delivery, _ mqtt.Retention, r *mqtt.Receipt) {
	s.Deliver(m, d, r)
}

func (s narrowSession) Acked(kind packet.Type, id uint16, reason packet.ReasonCode) error {
	*s.free++
	return s.memSession.Acked(kind, id, reason)
}

// retain puts n messages of QoS 1 under r/0, r/1, ….
func (b *bench) retain(n int) {
	for i := range n {
		m := &mqtt.Message{Topic: fmt.Sprint("r/", i), Payload: []byte("x"), QoS: 1, Retain: true}
		b.router.Stamp(m)
		b.retained.Set(m, nil)
	}
}

// takes reads n PUBLISH packets and returns their topics.
func (p *peer) takes(n int) (topics map[string]uint16) {
	p.t.Helper()
	topics = map[string]uint16{}
	for range n {
		got, ok := p.next().(*packet.Publish)
		if !ok || !got.Retain {
			p.t.Fatalf("got %+v, want a retained message", got)
		}
		topics[string(got.Topic)] = got.PacketID
	}
	p.WantIdle("no more than there is room for")
	return topics
}

func narrowed(places int, fn func(b *bench)) func(t *testing.T) {
	return func(t *testing.T) {
		var sessions narrow
		script(t, func(c *Config) {
			sessions = narrow{c.Sessions.(*memSessions), places}
			c.Sessions = sessions
		}, fn)
	}
}

// Retained messages that find the queue full come as room appears, each once.
func TestRetainedWaitForRoom(t *testing.T) {
	narrowed(3, func(b *bench) {
		b.retain(10)
		p := b.client(packet.V5, "p")
		p.Write(sub(1, "r/# 1"))
		p.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{1}})
		seen := map[string]uint16{}
		for batch := p.takes(3); ; {
			next := 0
			for name, id := range batch {
				if _, twice := seen[name]; twice {
					t.Errorf("%s came twice", name)
				}
				seen[name] = id
				p.Write(ack(packet.PUBACK, id, 0))
				next++
			}
			if len(seen) == 10 {
				break
			}
			batch = p.takes(min(next, 10-len(seen)))
		}
		p.WantIdle("after all")
		b.wantCount(`mangrove_messages_dropped_total{reason="retained-queue-full"}`, 0)
	})(t)
}

func TestRetainedOwedAreForgotten(t *testing.T) {
	narrowed(1, func(b *bench) {
		b.retain(4)
		p := b.client(packet.V5, "p")
		p.Write(sub(1, "r/# 1"))
		p.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{1}})
		first := p.takes(1)
		p.Write(&packet.Unsubscribe{PacketID: 2, Filters: []string{"r/#"}})
		p.Want("UNSUBACK", &packet.Unsuback{PacketID: 2, Reasons: []packet.ReasonCode{0}})
		for _, id := range first {
			p.Write(ack(packet.PUBACK, id, 0))
		}
		p.WantIdle("what was owed under a filter goes with it")

		p.Write(sub(3, "r/# 1"))
		p.Want("SUBACK", &packet.Suback{PacketID: 3, Reasons: []packet.ReasonCode{1}})
		first = p.takes(1)
		for i := range 4 { // the others are replaced, or removed, before their turn
			m := &mqtt.Message{Topic: fmt.Sprint("r/", i), Payload: []byte("new"), QoS: 1, Retain: true}
			if i == 0 {
				m.Payload = nil
			}
			b.router.Stamp(m)
			b.retained.Set(m, nil)
		}
		for _, id := range first {
			p.Write(ack(packet.PUBACK, id, 0))
		}
		p.WantIdle("those came as live messages, or are gone")

		p.Write(sub(4, "r/# 1"))
		p.Want("SUBACK", &packet.Suback{PacketID: 4, Reasons: []packet.ReasonCode{1}})
		p.takes(1)
		p.Write(&packet.Disconnect{})
		p.WantClosed("goodbye")
		b.wantCount(`mangrove_messages_dropped_total{reason="retained-queue-full"}`, 2)
	})(t)
}

// Nothing is handed over twice or kept without end when a client subscribes again and again.
func TestRetainedOwedAreBounded(t *testing.T) {
	var o owed
	m := &mqtt.Message{Topic: "a"}
	for i := range maxOwed {
		if !o.owe(m, mqtt.Subscription{Filter: fmt.Sprint(i % 3)}) {
			t.Fatalf("got %d owed, want %d", i, maxOwed)
		}
	}
	if o.owe(m, mqtt.Subscription{Filter: "x"}) {
		t.Errorf("got more than %d owed", maxOwed)
	}
	for i := range 3 {
		o.forget(fmt.Sprint(i))
	}
	if o.list != nil || o.subs != nil {
		t.Errorf("got %d owed for filters that are gone", len(o.list))
	}
}
