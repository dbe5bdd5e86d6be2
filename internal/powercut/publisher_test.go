package powercut

import (
	"fmt"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// window is how many messages a publisher has on the way at most; a small number has identifiers used again soon.
const window = 6

// publisher sends numbered messages of QoS 1 and 2, and what was not acknowledged again on its next connection.
type publisher struct {
	client
	next  int
	wills int
	plain bool       // retains nothing
	way   []*sending // in the order in which they were first sent
}

// sending is a message on the way: PUBLISH ─▶ PUBACK, or PUBLISH ─▶ PUBREC ─▶ PUBREL ─▶ PUBCOMP.
type sending struct {
	*message
	id       uint16
	received bool // PUBREC came
}

// act does something at random.
func (p *publisher) act() {
	switch {
	case p.busy:
	case p.session == nil:
		p.wills++
		p.connect(p.w.note(&message{from: p.id, n: -p.wills, topic: "w/" + p.id, payload: fmt.Sprintf("will %d of %s", p.wills, p.id), qos: 2}), p.resend)
	case p.w.rng.IntN(25) == 0:
		p.disconnect(p.w.rng.IntN(2) == 0)
	default:
		p.burst(1 + p.w.rng.IntN(3))
	}
}

// burst sends some messages that the node reads at once.
func (p *publisher) burst(n int) {
	b := p.w.node.store.NewBatch()
	for range n {
		if len(p.way) < window {
			s := &sending{message: p.new(), id: p.free()}
			p.way = append(p.way, s)
			p.publish(s, b)
		}
	}
	p.w.node.store.Commit(b)
}

// new is the next message. One topic is the publisher's own, and retained; now and then what is retained is removed.
func (p *publisher) new() *message {
	p.next++
	m := &message{from: p.id, n: p.next, topic: fmt.Sprintf("t/%d", p.w.rng.IntN(2)), payload: fmt.Sprintf("%d of %s", p.next, p.id),
		qos: byte(1 + p.w.rng.IntN(2))}
	if p.w.rng.IntN(4) == 0 && !p.plain {
		m.topic, m.retain = p.own(), true
		if p.w.rng.IntN(4) == 0 {
			m.payload = ""
		}
	}
	return p.w.note(m)
}

// own is the topic where only p publishes.
func (p *publisher) own() string { return "r/" + p.id }

// free is the lowest packet identifier that is not in use.
func (p *publisher) free() uint16 {
	for id := uint16(1); ; id++ {
		used := false
		for _, s := range p.way {
			used = used || s.id == id
		}
		if !used {
			return id
		}
	}
}

// publish is what the node does with a PUBLISH.
func (p *publisher) publish(s *sending, b *batch.Batch) {
	out, kind := p.out, packet.PUBACK
	if s.qos == 2 {
		kind = packet.PUBREC
	}
	acknowledge := func() { out.add(packetIn{kind: kind, id: s.id}) }
	early := p.w.fault.early && s.qos == 1
	r := mqtt.NewReceipt(b, func(err error) {
		if err == nil && !early {
			acknowledge()
		}
	})
	if s.qos == 1 {
		r.PublisherRepeats()
	}
	if s.qos == 1 || p.w.fault.forgetful || !p.session.Take(s.id, r) {
		p.w.published(s.message)
		p.w.node.router.Publish(s.mqtt(), r)
	}
	r.Close()
	if early {
		acknowledge()
	}
}

// resend sends again what was not acknowledged, in the same order. [MQTT-4.4.0-1] [MQTT-4.6.0-1]
func (p *publisher) resend() {
	for _, s := range p.way {
		if s.received {
			p.acked(packet.PUBREL, s.id)
			continue
		}
		b := p.w.node.store.NewBatch()
		p.publish(s, b)
		p.w.node.store.Commit(b)
	}
}

// read handles what has come.
func (p *publisher) read() {
	if p.out == nil {
		return
	}
	for _, in := range p.out.take() {
		if p.handle(in); in.kind == packet.PUBREC {
			p.acked(packet.PUBREL, in.id)
		}
	}
}

// handle notes what a packet tells.
func (p *publisher) handle(in packetIn) {
	for i, s := range p.way {
		if s.id != in.id {
			continue
		}
		switch in.kind {
		case packet.PUBACK, packet.PUBCOMP:
			if (in.kind == packet.PUBACK) != (s.qos == 1) {
				p.w.fail("%s: got packet type %d for %v", p.id, in.kind, s)
			}
			p.way = append(p.way[:i:i], p.way[i+1:]...)
		case packet.PUBREC:
			s.received = true
		}
		if in.kind != packet.PUBCOMP {
			p.w.acknowledged(s.message)
		}
		return
	}
}
