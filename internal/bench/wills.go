package bench

import (
	"fmt"

	"mangrove/mqtt/packet"
)

// runWills connects clients that have a will and vanish, and waits until a subscriber has every will, each
// exactly as a message of its own stream. Clients come again and again, some at a time, until Count did.
func (f *flow) runWills(r *Result) error {
	f.show.phase = "connecting"
	topic := f.topic("will")
	s := newSubscriber(f, "s", topic)
	s.whole(0, f.cfg.Count)
	f.subs = append(f.subs, s)
	for i := range f.cfg.Count {
		f.pubs = append(f.pubs, newPublisher(f, uint32(i), topic, f.cfg.QoS, false))
	}
	if err := f.connect(true, s.c); err != nil {
		return err
	}
	s.c.subscribe(f.cfg.QoS, topic)
	if err := f.subscribed(s.c); err != nil {
		return err
	}
	f.show.phase = "vanishing"
	err := f.measure(r, func() uint64 { return f.delivered }, func() error {
		for rest := f.pubs; len(rest) > 0; {
			some := rest[:min(len(rest), connectAtOnce)]
			rest = rest[len(some):]
			if err := f.vanish(topic, some); err != nil {
				return err
			}
		}
		return f.settle()
	})
	if err != nil {
		return err
	}
	r.Latency = nil // when a client vanished is not in its will
	f.verdict(r)
	f.leave()
	return nil
}

// vanish connects some clients and closes their connections without a DISCONNECT. (MQTT 5.0, section 3.1.2.5)
func (f *flow) vanish(topic string, some []*publisher) error {
	for _, p := range some {
		p.c.will = f.will(topic, p)
	}
	cs := conns(some, func(p *publisher) *conn { return p.c })
	if err := f.connect(true, cs...); err != nil {
		return fmt.Errorf("with a will: %w", err)
	}
	for _, p := range some {
		p.open(1)
		p.next++ // its only message
		f.owed++
		f.published++
		p.c.drop()
	}
	return nil
}

// will is the first message of p's stream.
func (f *flow) will(topic string, p *publisher) *packet.Will {
	payload := make([]byte, f.cfg.Payload)
	(&stamp{run: f.run, stream: p.stream}).put(payload)
	return &packet.Will{Topic: topic, Payload: payload, QoS: f.cfg.QoS}
}
