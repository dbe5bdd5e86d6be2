package bench

import (
	"fmt"
	"time"

	"mangrove/mqtt/packet"
)

// runRetained sets retained messages, fetches all of them with one wildcard again and again, and takes
// them away.
func (f *flow) runRetained(r *Result) error {
	f.show.phase = "connecting"
	keeper, fetcher := newKeeper(f), newFetcher(f)
	if err := f.connect(true, keeper.c, fetcher.c); err != nil {
		return err
	}
	f.show.phase = "retaining"
	if err := keeper.publish(make([]byte, f.cfg.Payload)); err != nil {
		return err
	}
	f.show.phase = "warming up"
	if err := fetcher.fetch(max(0, f.cfg.WarmUp)); err != nil {
		return err
	}
	f.show.phase = "measuring"
	err := f.measure(r, func() uint64 { return f.delivered }, func() error { return fetcher.fetch(f.cfg.Duration) })
	if err != nil {
		return err
	}
	r.Lost, r.Duplicated = fetcher.lost, f.duplicated
	f.show.phase = "cleaning up"
	fetcher.c.leave()
	if err := keeper.publish(nil); err != nil {
		return err
	}
	f.leave()
	return nil
}

// keeperWindow is how many retained messages are under way; they are not what is measured.
const keeperWindow = 256

// keeper sets and removes the retained messages, acknowledged so that it knows when it is done.
type keeper struct {
	c     *conn
	f     *flow
	qos   byte
	next  int // message to be published
	acked int
}

func newKeeper(f *flow) *keeper {
	k := &keeper{c: f.client("keeper"), f: f, qos: max(1, f.cfg.QoS)}
	k.c.role = k
	return k
}

// publish sets every topic to payload; an empty one removes it. (MQTT 5.0, section 3.3.1)
func (k *keeper) publish(payload []byte) error {
	k.next, k.acked = 0, 0
	last, moved := 0, k.f.l.clock()
	return k.f.within(24*time.Hour, "retain", func() (bool, error) {
		for k.next < k.f.cfg.Count && k.next-k.acked < min(keeperWindow, int(k.c.receiveMax)) {
			k.one(payload)
		}
		if k.acked != last {
			last, moved = k.acked, k.f.l.now
		}
		if k.f.l.now-moved > int64(k.f.cfg.Settle) {
			return false, fmt.Errorf("%d of %d retained messages were acknowledged, then nothing for %v", k.acked, k.f.cfg.Count, k.f.cfg.Settle)
		}
		return k.acked == k.f.cfg.Count, nil
	})
}

func (k *keeper) one(payload []byte) {
	if len(payload) > 0 {
		(&stamp{run: k.f.run, seq: uint64(k.next)}).put(payload)
	}
	m := packet.Publish{QoS: k.qos, Retain: true, Topic: []byte(k.f.topic(fmt.Sprintf("kept/%d/%d", k.next%100, k.next/100))),
		PacketID: uint16(k.next%maxWindow) + 1, Payload: payload}
	k.next++
	k.c.send(m.Append(k.c.out, k.c.v))
}

func (k *keeper) packet(c *conn, kind packet.Type, flags byte, body []byte) error {
	k.f.ack.Kind = kind
	if err := k.f.ack.Decode(flags, body, c.v); err != nil {
		return err
	}
	if r := k.f.ack.Reason; r >= packet.UnspecifiedError {
		return fmt.Errorf("the broker refused a retained message: %v", r)
	}
	switch kind {
	case packet.PUBREC:
		c.ack(packet.PUBREL, k.f.ack.PacketID)
	case packet.PUBACK, packet.PUBCOMP:
		k.acked++
	default:
		return fmt.Errorf("got %v, which was not expected", kind)
	}
	return nil
}

// fetcher subscribes to everything retained, and again when it has it.
type fetcher struct {
	c       *conn
	f       *flow
	filter  string
	asked   int64  // when it subscribed
	had     []bool // by number, in this fetch
	got     int
	lost    uint64
	publish packet.Publish
}

func newFetcher(f *flow) *fetcher {
	g := &fetcher{c: f.client("fetcher"), f: f, filter: f.topic("kept/#"), had: make([]bool, f.cfg.Count)}
	g.c.role = g
	return g
}

// fetch fetches everything, for at least d and at least once.
func (g *fetcher) fetch(d time.Duration) error {
	for end := g.f.l.clock() + int64(d); ; {
		if err := g.once(); err != nil || g.f.l.now >= end {
			return err
		}
	}
}

func (g *fetcher) once() error {
	clear(g.had)
	g.got, g.asked = 0, g.f.l.clock()
	g.c.subscribe(g.f.cfg.QoS, g.filter) // an existing subscription gets them again (MQTT 5.0, section 3.8.4)
	last, moved := 0, g.asked
	err := g.f.l.until(func() bool {
		if g.got != last {
			last, moved = g.got, g.f.l.now
		}
		return g.got == len(g.had) && g.c.subacks == 0 || g.f.l.now-moved > int64(g.f.cfg.Settle)
	})
	g.lost += uint64(len(g.had) - g.got)
	return err
}

func (g *fetcher) packet(c *conn, kind packet.Type, flags byte, body []byte) error {
	switch kind {
	case packet.PUBREL:
		g.f.ack.Kind = kind
		if err := g.f.ack.Decode(flags, body, c.v); err != nil {
			return err
		}
		c.ack(packet.PUBCOMP, g.f.ack.PacketID)
		return nil
	case packet.PUBLISH:
		return g.take(c, flags, body)
	}
	return fmt.Errorf("got %v, which was not expected", kind)
}

func (g *fetcher) take(c *conn, flags byte, body []byte) error {
	p := &g.publish
	if err := p.Decode(flags, body, c.v); err != nil {
		return err
	}
	switch p.QoS {
	case 1:
		c.ack(packet.PUBACK, p.PacketID)
	case 2:
		c.ack(packet.PUBREC, p.PacketID)
	}
	m, ok := readStamp(p.Payload)
	if !ok || m.run != g.f.run || m.seq >= uint64(len(g.had)) || !p.Retain {
		return fmt.Errorf("got a message that was not retained here, on topic %q", p.Topic)
	}
	m.due = g.asked
	if g.had[m.seq] {
		g.f.count(duplicated, &m)
		return nil
	}
	g.had[m.seq] = true
	g.got++
	g.f.count(inOrder, &m)
	return nil
}
