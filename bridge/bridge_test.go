package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/mqtttest"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
	"mangrove/mqtt/transport"
	"mangrove/retain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must happen.
const patience = 10 * time.Second

// eventually polls until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func commit(t testing.TB, st *store.Store, b *batch.Batch) {
	t.Helper()
	if err := st.CommitWait(b); err != nil {
		t.Fatal(err)
	}
}

// testRouter is the smallest mqtt.Router that keeps to the seam's words.
type testRouter struct {
	st       *store.Store
	retained *testRetained
	slack    map[string]batch.Slack // by topic
	tree     topic.Tree[mqtt.Subscriber, mqtt.Subscription]

	mu       sync.Mutex
	subs     map[string]map[mqtt.Subscriber]byte
	watchers map[*testWatcher]bool
}

type testWatcher struct {
	scopes mqtt.Scope
	fn     func(string, byte, bool)
}

func newTestRouter(st *store.Store) *testRouter {
	return &testRouter{st: st, retained: new(testRetained),
		subs: map[string]map[mqtt.Subscriber]byte{}, watchers: map[*testWatcher]bool{}}
}

func (r *testRouter) Publish(m *mqtt.Message, rc *mqtt.Receipt) {
	rc.SetSlack(r.slack[m.Topic])
	m.ID = r.st.NextID()
	if m.From.Scope == 0 {
		m.From.Scope = mqtt.ScopeClient
	}
	if m.Origin.Life == 0 {
		m.Origin = mqtt.Origin{Life: r.st.Life(), Seq: m.ID}
	}
	if m.Retain {
		if r.retained.Set(m, rc); !m.Retain && (m.Replay || m.Healed) {
			return
		}
	}
	qos := map[mqtt.Subscriber]byte{}
	r.tree.Match(m.Topic, func(s mqtt.Subscriber, sub mqtt.Subscription) { qos[s] = max(qos[s], sub.QoS) })
	for s, q := range qos {
		if m.From.Scope == mqtt.ScopePeer && s.Scope() == mqtt.ScopePeer {
			continue
		}
		s.Deliver(m, mqtt.Delivery{QoS: min(m.QoS, q), Retain: m.Retain}, rc)
	}
}

func (r *testRouter) sum(filter string, scopes mqtt.Scope) (qos byte, wanted bool) {
	for s, q := range r.subs[filter] {
		if s.Scope()&scopes != 0 {
			qos, wanted = max(qos, q), true
		}
	}
	return qos, wanted
}

func (r *testRouter) change(filter string, fn func()) {
	type was struct {
		qos    byte
		wanted bool
	}
	before := map[*testWatcher]was{}
	for w := range r.watchers {
		q, ok := r.sum(filter, w.scopes)
		before[w] = was{q, ok}
	}
	fn()
	for w := range r.watchers {
		if q, ok := r.sum(filter, w.scopes); (was{q, ok}) != before[w] {
			w.fn(filter, q, ok)
		}
	}
}

func (r *testRouter) Subscribe(s mqtt.Subscriber, sub mqtt.Subscription) mqtt.Subscribed {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change(sub.Filter, func() {
		if r.subs[sub.Filter] == nil {
			r.subs[sub.Filter] = map[mqtt.Subscriber]byte{}
		}
		r.subs[sub.Filter][s] = sub.QoS
	})
	_, existed := r.tree.Set(sub.Filter, s, sub)
	return mqtt.Subscribed{Existed: existed}
}

func (r *testRouter) Unsubscribe(s mqtt.Subscriber, filter string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change(filter, func() { delete(r.subs[filter], s) })
	_, existed := r.tree.Delete(filter, s)
	return existed
}

func (r *testRouter) HandOver(string, *mqtt.Message, *mqtt.Receipt) {}

func (r *testRouter) Interest(scopes mqtt.Scope, fn func(string, byte, bool)) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &testWatcher{scopes, fn}
	r.watchers[w] = true
	for filter := range r.subs {
		if q, ok := r.sum(filter, scopes); ok {
			fn(filter, q, true)
		}
	}
	return func() {
		r.mu.Lock()
		delete(r.watchers, w)
		r.mu.Unlock()
	}
}

// testRetained is the node's retained messages.
type testRetained struct{ *retain.Store }

func (r *testRetained) get(name string) (payload string) {
	r.Match(name, time.Now(), func(m *mqtt.Message) bool {
		payload = string(m.Payload)
		return false
	})
	return payload
}

// testClient takes messages as a client's session does, and can refuse.
type testClient struct {
	id     string
	mu     sync.Mutex
	got    []*mqtt.Message
	refuse error
}

func (c *testClient) Deliver(m *mqtt.Message, _ mqtt.Delivery, r *mqtt.Receipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.Count()
	if c.refuse != nil {
		r.Refuse(c.refuse)
		return
	}
	if m.QoS > 0 {
		r.Batch().Put(batch.Queues, fmt.Appendf(nil, "%s/%d", c.id, len(c.got)), m.Payload)
	}
	c.got = append(c.got, m.Kept())
}
func (c *testClient) ClientID() string  { return c.id }
func (c *testClient) Scope() mqtt.Scope { return mqtt.ScopeClient }
func (c *testClient) Online() bool      { return true }

func (c *testClient) setRefuse(err error) {
	c.mu.Lock()
	c.refuse = err
	c.mu.Unlock()
}

func (c *testClient) payloads() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.got {
		all = append(all, string(m.Payload))
	}
	return all
}

func (c *testClient) messages() []*mqtt.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*mqtt.Message(nil), c.got...)
}

// want waits for exactly these payloads in this order.
func (c *testClient) want(t *testing.T, want ...string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got := c.payloads()
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		if len(got) > len(want) || time.Now().After(deadline) {
			t.Fatalf("%s: got %d messages %.300v, want %d %.300v", c.id, len(got), got, len(want), want)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func numbered(prefix string, from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("%s%d", prefix, i))
	}
	return all
}

// node is one node as far as links go: store, router, bridge, and for a core a listener.
type node struct {
	t       testing.TB
	name    string
	dir     string
	tweak   func(*Config)
	storage func(*store.Config)
	clock   func() time.Time // of retained messages; nil = time.Now
	role    Role
	listen  net.Listener
	addr    string

	st     *store.Store
	router *testRouter
	b      *Bridge
	reg    *metrics.Registry

	mu       sync.Mutex
	deaf     bool // refuses connections
	conns    map[*serverConn]bool
	serving  sync.WaitGroup
	stopped  bool
	retained *testRetained
}

func newNode(t testing.TB, role Role, name string, tweak func(*Config)) *node {
	t.Helper()
	n := &node{t: t, name: name, dir: t.TempDir(), role: role, tweak: tweak, conns: map[*serverConn]bool{}}
	var err error
	if n.listen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	n.addr = n.listen.Addr().String()
	n.serving.Add(1)
	go n.accept() // ends with the listener, in cleanup
	n.start()
	t.Cleanup(func() {
		n.stop()
		n.listen.Close()
		n.serving.Wait()
	})
	return n
}

func (n *node) start() {
	n.t.Helper()
	var err error
	n.reg = metrics.New()
	open := store.Config{Dir: n.dir, Owner: n.name, Metrics: n.reg}
	if n.storage != nil {
		n.storage(&open)
	}
	if n.st, err = store.Open(open); err != nil {
		n.t.Fatal(err)
	}
	n.router = newTestRouter(n.st)
	if n.router.retained.Store, err = retain.New(retain.Config{Store: n.st, Now: n.clock}); err != nil {
		n.t.Fatal(err)
	}
	n.retained = n.router.retained
	cfg := Config{
		Node: n.name, Role: n.role, Store: n.st, Router: n.router, Retained: n.router.retained, Metrics: n.reg, Now: n.clock,
		InterestLinger: time.Millisecond, Backoff: Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond},
		RefuseRetry: 10 * time.Millisecond, TrimDelay: time.Millisecond, HealQuiet: 5 * time.Millisecond,
		SettleTime: 100 * time.Millisecond,
	}
	if n.tweak != nil {
		n.tweak(&cfg)
	}
	b, err := New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	n.b, n.stopped = b, false
	n.mu.Unlock()
}

// stop cuts the connections, so that nothing can be said any more, and closes.
func (n *node) stop() {
	n.t.Helper()
	n.mu.Lock()
	was := n.stopped
	n.stopped = true
	n.mu.Unlock()
	if was {
		return
	}
	n.cut()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.b.Close(ctx); err != nil {
		n.t.Errorf("close bridge of %s: %v", n.name, err)
	}
	n.retained.Close()
	if err := n.st.Close(); err != nil {
		n.t.Errorf("close store of %s: %v", n.name, err)
	}
}

// restart stops and starts; a client, if there is one, has subscribed before anybody can connect.
func (n *node) restart(subs ...*testClient) {
	n.t.Helper()
	n.stop()
	n.start()
	for _, c := range subs {
		n.router.Subscribe(c, mqtt.Subscription{Filter: "#", QoS: 1})
	}
}

func (n *node) setDeaf(deaf bool) {
	n.mu.Lock()
	n.deaf = deaf
	n.mu.Unlock()
	if deaf {
		n.cut()
	}
}

// cut breaks the connections that came in.
func (n *node) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.conn.Close()
	}
}

func (n *node) accept() {
	defer n.serving.Done()
	for {
		conn, err := n.listen.Accept()
		if err != nil {
			return
		}
		c := &serverConn{conn: conn}
		n.mu.Lock()
		refuse := n.deaf || n.stopped || n.b == nil
		links := n.b
		if !refuse {
			n.conns[c] = true
			n.serving.Add(1)
		}
		n.mu.Unlock()
		if refuse {
			conn.Close()
			continue
		}
		go func() { // ends with the connection; cleanup waits
			defer n.serving.Done()
			c.serve(links)
			n.mu.Lock()
			delete(n.conns, c)
			n.mu.Unlock()
		}()
	}
}

// serverConn is the accepting end of a link's connection: as much of a broker as that needs.
type serverConn struct {
	conn net.Conn
	mu   sync.Mutex
}

func (c *serverConn) Frame(kind string, body []byte) error {
	p := &packet.Publish{Topic: []byte(topic.LinkPrefix + kind), Payload: body}
	return c.write(p)
}

func (c *serverConn) write(p packet.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.conn.Write(p.Append(nil, packet.V5))
	return err
}

func (c *serverConn) Moved() (transport.Moved, bool) { return transport.MovedOn(c.conn) }

func (c *serverConn) Close(packet.ReasonCode) { c.conn.Close() }

func (c *serverConn) serve(links mqtt.Links) {
	defer c.conn.Close()
	var end mqtt.LinkEnd
	err := c.read(func(p packet.Packet) error {
		switch p := p.(type) {
		case *packet.Connect:
			for _, u := range p.Props.User {
				if u.Name == mqtt.LinkProperty {
					var err error
					if end, err = links.Accept(&mqtt.Client{ID: p.ClientID, Addr: c.conn.RemoteAddr()}, u.Value, c); err != nil {
						return err
					}
					answer := &packet.Properties{User: []packet.UserProperty{u}}
					return c.write(&packet.Connack{Props: answer.Mark(packet.PropUser)})
				}
			}
			return errors.New("not a link")
		case *packet.Publish:
			return end.Frame(string(p.Topic)[len(topic.LinkPrefix):], p.Payload)
		case *packet.Pingreq:
			return c.write(&packet.Pingresp{})
		case *packet.Disconnect:
			return errors.New("disconnected")
		}
		return nil
	})
	if end != nil {
		end.Closed(err)
	}
}

func (c *serverConn) read(handle func(packet.Packet) error) error {
	var buf []byte
	chunk := make([]byte, 64<<10)
	for {
		k, err := c.conn.Read(chunk)
		if err != nil {
			return err
		}
		buf = append(buf, chunk[:k]...)
		for {
			total, _, _, err := packet.Frame(buf, 0)
			if err != nil {
				return err
			}
			if total == 0 {
				break
			}
			p, err := packet.Read(buf[:total], packet.V5)
			if err == nil {
				err = handle(p)
			}
			if err != nil {
				return err
			}
			buf = buf[total:]
		}
	}
}

// publish publishes as a client would and waits for the acknowledgement.
func (n *node) publish(topic, payload string, qos byte, retain bool) error {
	return n.publishMessage(&mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: retain})
}

func (n *node) publishMessage(m *mqtt.Message) error {
	writes := new(batch.Batch)
	done := make(chan error, 1)
	r := mqtt.NewReceipt(writes, func(err error) { done <- err })
	r.PublisherRepeats()
	n.lend(m, r)
	r.Close()
	n.st.Commit(writes)
	return <-done
}

// lend publishes m as a connection does.
func (n *node) lend(m *mqtt.Message, r *mqtt.Receipt) { mqtttest.Lend(n.router.Publish, m, r) }

func (n *node) mustPublish(topic string, qos byte, payloads ...string) {
	n.t.Helper()
	for _, p := range payloads {
		if err := n.publish(topic, p, qos, false); err != nil {
			n.t.Fatalf("publish %q at %s: %v", p, n.name, err)
		}
	}
}

func (n *node) subscribe(id, filter string, qos byte) *testClient {
	c := &testClient{id: n.name + "/" + id}
	n.router.Subscribe(c, mqtt.Subscription{Filter: filter, QoS: qos})
	return c
}

func (n *node) status(name string) LinkStatus {
	for _, s := range n.b.Status() {
		if s.Name == name {
			return s
		}
	}
	return LinkStatus{}
}

func (n *node) wantState(name, state string) {
	n.t.Helper()
	eventually(n.t, n.name+" has "+name+" "+state, func() bool { return n.status(name).State == state })
}

// wantInterest waits until n knows that a neighbour wants filter, or no longer.
func (n *node) wantInterest(name, filter string, wanted bool) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%s knows that %s wants %s: %v", n.name, name, filter, wanted), func() bool {
		other := n.b.lookup(name)
		if other == nil {
			return !wanted
		}
		other.wantsMu.Lock()
		defer other.wantsMu.Unlock()
		_, ok := other.wants.QoS(filter)
		return ok == wanted
	})
}

// backlog is what n owes a neighbour; an edge owes it to whichever core.
func (n *node) backlog(name string) int {
	if n.role == RoleEdge {
		return n.b.Status()[0].BacklogMessages
	}
	return n.status(name).BacklogMessages
}

func (n *node) drained(name string) {
	n.t.Helper()
	eventually(n.t, n.name+" owes "+name+" nothing", func() bool { return n.backlog(name) == 0 })
}

func newCore(t *testing.T, name string) *node { return newNode(t, RoleCore, name, nil) }

func newEdge(t *testing.T, name string, cores ...*node) *node {
	n := newNode(t, RoleEdge, name, nil)
	n.dial(cores...)
	return n
}

// dial sets the cores of an edge.
func (n *node) dial(cores ...*node) {
	var seeds []string
	for _, c := range cores {
		seeds = append(seeds, c.addr)
	}
	n.b.SetCores(seeds, false)
}

// join makes cores peers of each other.
func join(cores ...*node) {
	for _, c := range cores {
		var peers []Peer
		for _, p := range cores {
			peers = append(peers, Peer{Name: p.name, Addr: p.addr, Weight: 1})
		}
		c.b.SetPeers(peers)
	}
}

func newCores(t *testing.T, names ...string) []*node {
	var cores []*node
	for _, name := range names {
		cores = append(cores, newCore(t, name))
	}
	join(cores...)
	for _, c := range cores {
		for _, p := range cores {
			if c != p {
				c.wantState(p.name, "up")
			}
		}
	}
	return cores
}
