package session

import (
	"fmt"
	"sync"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// fakeRouter keeps subscriptions in a plain map and delivers in the caller's goroutine.
type fakeRouter struct {
	mu     sync.Mutex
	nextID func() uint64
	subs   map[fakeKey]mqtt.Subscription
	wills  []*mqtt.Message // all that Publish was called with
}

type fakeKey struct {
	s      mqtt.Subscriber
	filter string
}

func newFakeRouter() *fakeRouter {
	var n uint64
	r := &fakeRouter{subs: map[fakeKey]mqtt.Subscription{}}
	r.nextID = func() uint64 { n++; return n }
	return r
}

func (f *fakeRouter) Publish(m *mqtt.Message, r *mqtt.Receipt) {
	f.mu.Lock()
	if m.ID == 0 {
		m.ID = f.nextID()
	}
	f.wills = append(f.wills, m.Kept())
	type hit struct {
		s   mqtt.Subscriber
		sub mqtt.Subscription
	}
	var hits []hit
	for k, sub := range f.subs {
		if topic.Match(k.filter, m.Topic) {
			hits = append(hits, hit{k.s, sub})
		}
	}
	f.mu.Unlock()
	for _, h := range hits {
		h.s.Deliver(m, mqtt.Delivery{QoS: min(m.QoS, h.sub.QoS)}, r)
	}
}

func (f *fakeRouter) Subscribe(s mqtt.Subscriber, sub mqtt.Subscription) mqtt.Subscribed {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, existed := f.subs[fakeKey{s, sub.Filter}]
	f.subs[fakeKey{s, sub.Filter}] = sub
	return mqtt.Subscribed{Existed: existed}
}

func (f *fakeRouter) Unsubscribe(s mqtt.Subscriber, filter string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, existed := f.subs[fakeKey{s, filter}]
	delete(f.subs, fakeKey{s, filter})
	return existed
}

// HandOver asks the members of a group until one has taken m.
func (f *fakeRouter) HandOver(filter string, m *mqtt.Message, r *mqtt.Receipt) {
	f.mu.Lock()
	var members []fakeKey
	for k := range f.subs {
		if k.filter == filter {
			members = append(members, k)
		}
	}
	f.mu.Unlock()
	for _, k := range members {
		if r.Taken() == 0 {
			k.s.Deliver(m, mqtt.Delivery{QoS: m.QoS, Group: filter}, r)
		}
	}
}

func (f *fakeRouter) Interest(mqtt.Scope, func(string, byte, bool)) func() { return func() {} }

func (f *fakeRouter) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subs)
}

// published lists the payloads of what was published on topic.
func (f *fakeRouter) published(topic string) (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.wills {
		if m.Topic == topic {
			list = append(list, string(m.Payload))
		}
	}
	return list
}

// fakeOutlet writes down what the client gets, as lines.
type fakeOutlet struct {
	mu     sync.Mutex
	lines  []string
	result mqtt.SendResult // of the next publishes
	more   chan struct{}
}

func newOutlet() *fakeOutlet { return &fakeOutlet{more: make(chan struct{}, 1)} }

func (o *fakeOutlet) add(line string) {
	o.lines = append(o.lines, line)
	select {
	case o.more <- struct{}{}:
	default:
	}
}

func (o *fakeOutlet) Publish(m *mqtt.Message, d mqtt.Delivery, id uint16, dup bool) mqtt.SendResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.result != mqtt.Sent {
		return o.result
	}
	line := fmt.Sprintf("PUBLISH %s qos %d id %d", m.Payload, d.QoS, id)
	if d.Retain {
		line += " retain"
	}
	if len(d.IDs) > 0 {
		line += fmt.Sprintf(" ids %v", d.IDs)
	}
	if dup {
		line += " dup"
	}
	o.add(line)
	return mqtt.Sent
}

func (o *fakeOutlet) Ack(kind packet.Type, id uint16, reason packet.ReasonCode) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := map[packet.Type]string{packet.PUBREL: "PUBREL", packet.PUBCOMP: "PUBCOMP"}[kind]
	line := fmt.Sprintf("%s %d", name, id)
	if reason != packet.Success {
		line += fmt.Sprintf(" reason 0x%02X", byte(reason))
	}
	o.add(line)
}

func (o *fakeOutlet) Close(reason packet.ReasonCode) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.add(fmt.Sprintf("CLOSE 0x%02X", byte(reason)))
}

func (o *fakeOutlet) set(r mqtt.SendResult) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.result = r
}

// take waits for n lines and takes them off; fewer after a while is a failure.
func (o *fakeOutlet) take(t tester, n int) []string {
	t.Helper()
	end := time.NewTimer(10 * time.Second)
	defer end.Stop()
	for {
		o.mu.Lock()
		if len(o.lines) >= n {
			got := o.lines[:n:n]
			o.lines = append([]string(nil), o.lines[n:]...)
			o.mu.Unlock()
			return got
		}
		o.mu.Unlock()
		select {
		case <-o.more:
		case <-end.C:
			o.mu.Lock()
			defer o.mu.Unlock()
			t.Fatalf("got %d packets %q, want %d", len(o.lines), o.lines, n)
		}
	}
}

// want takes len(lines) packets and compares.
func (o *fakeOutlet) want(t tester, lines ...string) {
	t.Helper()
	got := o.take(t, len(lines))
	for i := range lines {
		if got[i] != lines[i] {
			t.Fatalf("packet %d: got %q, want %q (all: %q)", i, got[i], lines[i], got)
		}
	}
}

// idle checks that nothing is left.
func (o *fakeOutlet) idle(t tester) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.lines) > 0 {
		t.Fatalf("got packets %q, want none", o.lines)
	}
}
