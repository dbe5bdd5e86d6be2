package session

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"mangrove/internal/store"
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
	f.wills = append(f.wills, m)
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

func (f *fakeRouter) Subscribe(s mqtt.Subscriber, sub mqtt.Subscription) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, existed := f.subs[fakeKey{s, sub.Filter}]
	f.subs[fakeKey{s, sub.Filter}] = sub
	return existed
}

func (f *fakeRouter) Unsubscribe(s mqtt.Subscriber, filter string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, existed := f.subs[fakeKey{s, filter}]
	delete(f.subs, fakeKey{s, filter})
	return existed
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
	end := time.NewTimer(5 * time.Second)
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

// node is a manager with its surroundings, and can be restarted.
type node struct {
	t      tester
	dir    string
	cfg    Config
	router *fakeRouter
	*Manager
	tempDir func() string
	most    int // of the store's file, in bytes; 0 = no bound
}

// tester is what testing.T and rapid.T both have.
type tester interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

// newNode starts a node; durable says whether it has a store.
func newNode(t testing.TB, durable bool, change func(*Config)) *node {
	t.Helper()
	n := &node{t: t, tempDir: t.TempDir}
	if change != nil {
		change(&n.cfg)
	}
	if durable {
		n.dir = t.TempDir()
	}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *node) start() {
	n.t.Helper()
	n.router = newFakeRouter()
	if n.dir != "" {
		st, err := store.Open(store.Config{Dir: n.dir, MaxFileBytes: n.most})
		if err != nil {
			n.t.Fatal(err)
		}
		n.cfg.Store = st
		n.router.nextID = st.NextID
	}
	n.cfg.Router = n.router
	m, err := New(n.cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.Manager = m
}

func (n *node) stop() {
	n.Manager.Close()
	if n.cfg.Store != nil {
		if err := n.cfg.Store.Close(); err != nil {
			n.t.Error(err)
		}
	}
}

// restart ends the node without telling the sessions, and starts it on the same folder.
func (n *node) restart() {
	n.t.Helper()
	n.stop()
	n.start()
}

// die is kill -9: what was not stable is lost, and nothing is written any more.
func (n *node) die() {
	n.t.Helper()
	eventually(n.t, "the store is idle", func() bool { batches, _ := n.cfg.Store.Pending(); return batches == 0 })
	dir := n.tempDir()
	if err := os.CopyFS(dir, os.DirFS(n.dir)); err != nil {
		n.t.Fatal(err)
	}
	n.stop()
	n.dir = dir
	n.start()
}

// rows counts the records of a table.
func (n *node) rows(table store.Table) (rows int) {
	n.t.Helper()
	if err := n.cfg.Store.Scan(table, nil, nil, func(_, _ []byte) bool { rows++; return true }); err != nil {
		n.t.Fatal(err)
	}
	return rows
}

// connect opens and resumes.
func (n *node) connect(req mqtt.OpenRequest) (*Session, *fakeOutlet, bool) {
	n.t.Helper()
	if req.ReceiveMaximum == 0 {
		req.ReceiveMaximum = 65535
	}
	out := newOutlet()
	s, present, err := n.Open(req, out)
	if err != nil {
		n.t.Fatalf("open %s: %v", req.ClientID, err)
	}
	s.Resume()
	return s.(*Session), out, present
}

// send publishes and waits until the publisher may be acknowledged.
func (n *node) send(topic, payload string, qos byte) error {
	return n.sendMessage(&mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos})
}

func (n *node) sendMessage(m *mqtt.Message) error {
	b := n.newBatch()
	done := make(chan error, 1)
	r := mqtt.NewReceipt(b, func(err error) { done <- err })
	n.router.Publish(m, r)
	r.Close()
	if n.cfg.Store != nil {
		n.cfg.Store.Commit(b)
	}
	return <-done
}

// sendLater publishes and does not wait.
func (n *node) sendLater(topic, payload string, qos byte) {
	b := n.newBatch()
	r := mqtt.NewReceipt(b, func(err error) {
		if err != nil {
			n.t.Errorf("publish %s: %v", payload, err)
		}
	})
	n.router.Publish(&mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos}, r)
	r.Close()
	n.cfg.Store.Commit(b)
}

func (n *node) mustSend(topic string, qos byte, payloads ...string) {
	n.t.Helper()
	for _, p := range payloads {
		if err := n.send(topic, p, qos); err != nil {
			n.t.Fatalf("publish %s: %v", p, err)
		}
	}
}

func subscribe(t tester, s *Session, filter string, qos byte) {
	t.Helper()
	if _, err := s.Subscribe([]mqtt.Subscription{{Filter: filter, QoS: qos}}); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition that no event tells.
func eventually(t tester, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
