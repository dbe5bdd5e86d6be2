package bench

import (
	"fmt"

	"mangrove/mqtt/packet"
)

// publisher sends one stream. Message number seq lives in flight[seq % window] until it was delivered to
// all its takers and acknowledged; the next one that needs the same place waits for that.
type publisher struct {
	c      *conn
	f      *flow
	stream uint32
	qos    byte
	flight []inFlight
	next   uint64
	limit  uint64 // numbers from here on are not published

	template []byte // a whole PUBLISH
	topicAt  int
	idAt     int
	stampAt  int

	queued   bool // in flow.ready
	movement int64
}

// inFlight is one message that is not done.
type inFlight struct {
	seq   uint64
	sent  int64
	want  int32 // deliveries awaited
	state ackState
}

// ackState is what a publisher awaits for a message. (MQTT 5.0, section 4.3)
//
//	QoS 0          acked
//	QoS 1  wantPuback ──→ acked
//	QoS 2  wantPubrec ──→ wantPubcomp ──→ acked
type ackState byte

const (
	acked ackState = iota
	wantPuback
	wantPubrec
	wantPubcomp
)

// maxWaiting is how many bytes may wait for one socket before its publisher pauses.
const maxWaiting = 256 << 10

func newPublisher(f *flow, stream uint32, topic string, qos byte, retain bool) *publisher {
	c := f.client(fmt.Sprintf("p%d", stream))
	p := &publisher{c: c, f: f, stream: stream, qos: qos, limit: f.cfg.limit()}
	c.role = p
	p.template = p.encode(topic, qos, retain)
	return p
}

// encode also finds where the template changes from message to message.
func (p *publisher) encode(topic string, qos byte, retain bool) []byte {
	m := packet.Publish{QoS: qos, Retain: retain, Topic: []byte(topic), PacketID: 1, Payload: make([]byte, p.f.cfg.Payload)}
	b := m.Append(nil, p.c.v)
	p.stampAt = len(b) - p.f.cfg.Payload
	p.idAt = p.stampAt - 2
	if p.c.v == packet.V5 {
		p.idAt-- // the property length, 0, stands between
	}
	p.topicAt = p.idAt - len(topic)
	if qos == 0 {
		p.topicAt += 2
	}
	return b
}

// open takes the window that the broker allows.
func (p *publisher) open(window int) {
	if p.qos > 0 {
		window = min(window, int(p.c.receiveMax)) // MQTT 5.0, section 3.3.4
	}
	p.flight = make([]inFlight, window)
}

// pump publishes what may go now.
func (p *publisher) pump(now int64) {
	for p.next < p.limit && !p.f.stopped && p.c.state == open {
		m := &p.flight[p.next%uint64(len(p.flight))]
		if m.want > 0 || m.state != acked {
			return // until it makes progress
		}
		due := now
		if p.f.interval > 0 {
			if due = p.due(); due > now {
				return // until its turn
			}
		}
		if p.c.waiting() >= maxWaiting {
			p.f.again(p) // next turn
			return
		}
		p.publish(m, due, now)
	}
}

// due is when the next message is meant to be sent: publishers take turns at equal distances.
func (p *publisher) due() int64 {
	return p.f.due(p.next*uint64(len(p.f.pubs)) + uint64(p.stream))
}

func (p *publisher) publish(m *inFlight, due, now int64) {
	seq := p.next
	p.next++
	*m = inFlight{seq: seq, sent: now, state: ackState(p.qos)}
	m.want = p.f.aim(p, seq)
	p.f.owed += uint64(m.want)
	at := len(p.c.out)
	out := append(p.c.out, p.template...)
	if p.qos > 0 {
		id := uint16(seq%uint64(len(p.flight))) + 1
		out[at+p.idAt], out[at+p.idAt+1] = byte(id>>8), byte(id)
	}
	(&stamp{p.f.run, p.stream, seq, due}).put(out[at+p.stampAt:])
	p.c.send(out)
	p.f.published++
}

// delivered notes that one taker has message seq, or never will.
func (p *publisher) delivered(seq uint64) {
	m := &p.flight[seq%uint64(len(p.flight))]
	if m.seq != seq || m.want == 0 {
		return
	}
	m.want--
	p.progress(m)
}

func (p *publisher) progress(m *inFlight) {
	p.movement = p.c.l.now
	if m.want == 0 && m.state == acked {
		p.f.again(p)
	}
}

// idle reports whether nothing is in flight.
func (p *publisher) idle() bool {
	for i := range p.flight {
		if m := &p.flight[i]; m.want > 0 || m.state != acked {
			return false
		}
	}
	return true
}

// giveUp forgets deliveries that are awaited for too long: at QoS 0 a broker may drop them. What is
// acknowledged late or never stays awaited.
func (p *publisher) giveUp(now int64) {
	if now-p.movement < int64(stallTime) {
		return
	}
	for i := range p.flight {
		p.flight[i].want = 0
	}
	p.movement = now
	p.f.again(p)
}

func (p *publisher) packet(c *conn, kind packet.Type, flags byte, body []byte) error {
	p.f.ack.Kind = kind
	if err := p.f.ack.Decode(flags, body, c.v); err != nil {
		return err
	}
	id := int(p.f.ack.PacketID)
	if id > len(p.flight) {
		return fmt.Errorf("got %v for packet identifier %d, which is not in flight", kind, id)
	}
	if r := p.f.ack.Reason; r >= packet.UnspecifiedError {
		return fmt.Errorf("the broker refused a PUBLISH: %v", r)
	}
	m := &p.flight[id-1]
	switch {
	case kind == packet.PUBACK && m.state == wantPuback, kind == packet.PUBCOMP && m.state == wantPubcomp:
		m.state = acked
		p.f.acknowledged(p, m)
		p.progress(m)
	case kind == packet.PUBREC && m.state == wantPubrec:
		m.state = wantPubcomp
		c.ack(packet.PUBREL, uint16(id))
	default:
		return fmt.Errorf("got %v for packet identifier %d, which does not await it", kind, id)
	}
	return nil
}
