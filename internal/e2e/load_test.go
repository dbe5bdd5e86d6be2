package e2e

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	mqttclient "mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// redial is the pause of a client before it tries again to reach a node that is gone.
const redial = 30 * time.Millisecond

// load is publishers and subscribers with persistent sessions that go on through every fault: they connect again,
// publish again what was not acknowledged, and read all the time.
//
//	publishing ─ settle: no new messages, unacknowledged ones go on ─ complete ─ close
type load struct {
	t       *testing.T
	book    *ledger
	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	quiet   chan struct{} // closed when nothing new is published
	running sync.WaitGroup
}

func startLoad(t *testing.T) *load {
	l := &load{t: t, book: newLedger(), quiet: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	t.Cleanup(l.close)
	return l
}

func (l *load) close() {
	l.cancel()
	l.running.Wait()
}

// flow is one publisher: QoS qos, a message every pace.
type flow struct {
	addr  string
	id    string // of the client, and what its payloads begin with
	topic string
	qos   byte
	pace  time.Duration
}

// publish starts a publisher whose messages subscribers want.
func (l *load) publish(f flow, subscribers ...string) {
	l.book.open(f.id, f.topic, f.qos)
	for _, s := range subscribers {
		l.book.expect(s, f.id)
	}
	l.running.Add(1)
	go l.publisher(f) // ends with close, which waits
}

// publisher keeps one State over all its connections: what is not acknowledged is sent again with DUP. [MQTT-4.4.0-1]
func (l *load) publisher(f flow) {
	defer l.running.Done()
	state := new(mqttclient.State)
	for l.ctx.Err() == nil {
		c, err := mqttclient.Dial(l.ctx, mqttclient.Config{Addr: f.addr, ClientID: f.id, SessionExpiry: time.Hour, State: state, MaxInflight: 32})
		if err != nil {
			l.pause(redial)
			continue
		}
		l.publishOn(c, f)
		<-c.Done()
	}
}

// publishOn publishes at the flow's pace until the connection or the load ends.
func (l *load) publishOn(c *mqttclient.Client, f flow) {
	defer context.AfterFunc(l.ctx, c.Abort)()
	tick := time.NewTicker(f.pace)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.quiet:
			<-c.Done() // unacknowledged messages are still sent
			return
		case <-c.Done():
			return
		}
		n := l.book.next(f.id)
		m := &mqttclient.Message{Topic: f.topic, Payload: []byte(numbered(f.id, n)), QoS: f.qos}
		if err := c.PublishAsync(m, func(_ packet.ReasonCode, err error) { l.settled(f, n, err) }); err != nil {
			l.book.settled(f.id, n, unsent)
			return
		}
	}
}

// settled takes the outcome of one message, be it on a later connection.
func (l *load) settled(f flow, n int, err error) {
	var code *mqttclient.Error
	switch {
	case err == nil:
		l.book.settled(f.id, n, acknowledged)
	case errors.As(err, &code) && code.Packet == packet.PUBCOMP:
		l.book.settled(f.id, n, acknowledged) // the id had been forgotten before PUBCOMP could leave; that is no error on recovery
	case errors.As(err, &code):
		l.t.Logf("%s: %v", numbered(f.id, n), err)
		l.book.settled(f.id, n, refused)
	case l.ctx.Err() == nil:
		l.t.Errorf("publish %s: %v", numbered(f.id, n), err)
	}
}

// taker is one subscriber. With restless it also breaks its connection itself, about that often.
type taker struct {
	addr     string
	id       string
	filter   string
	qos      byte
	restless time.Duration
}

// subscribe returns when the subscriber has subscribed; it reads until close.
func (l *load) subscribe(k taker) {
	l.t.Helper()
	state, ready := new(mqttclient.State), make(chan error, 1)
	l.running.Add(1)
	go l.subscriber(k, state, ready) // ends with close, which waits
	select {
	case err := <-ready:
		if err != nil {
			l.t.Fatalf("subscribe %s to %s: %v", k.id, k.filter, err)
		}
	case <-time.After(wait):
		l.t.Fatalf("%s could not subscribe to %s within %v", k.id, k.filter, wait)
	}
}

func (l *load) subscriber(k taker, state *mqttclient.State, ready chan<- error) {
	defer l.running.Done()
	for first := true; l.ctx.Err() == nil; {
		c, err := mqttclient.Dial(l.ctx, mqttclient.Config{Addr: k.addr, ClientID: k.id, SessionExpiry: time.Hour, State: state,
			OnMessage: func(m *mqttclient.Message) { l.book.took(l.t, k.id, string(m.Payload)) }})
		if err != nil {
			l.pause(redial)
			continue
		}
		if first {
			_, err := c.Subscribe(l.ctx, packet.SubscribeFilter{Filter: k.filter, QoS: k.qos})
			ready <- err
			first = false
		} else {
			l.book.session(k.id, c.SessionPresent())
		}
		l.readOn(c, k)
	}
}

// readOn lets a connection live until the load ends, or a restless subscriber breaks it.
func (l *load) readOn(c *mqttclient.Client, k taker) {
	defer context.AfterFunc(l.ctx, c.Abort)()
	if k.restless > 0 {
		timer := time.AfterFunc(k.restless, c.Abort)
		defer timer.Stop()
	}
	<-c.Done()
}

func (l *load) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.ctx.Done():
	}
}

// settle ends publishing, waits until everything has arrived, and until nodes hold nothing more that could come
// twice; then it counts. within bounds the waiting.
func (l *load) settle(within time.Duration, nodes ...*node) tally {
	l.t.Helper()
	close(l.quiet)
	l.await(within, l.book.complete)
	l.await(within, func() bool {
		for _, n := range nodes {
			if n.backlog() > 0 || n.status().Queued > 0 {
				return false
			}
		}
		return true
	})
	sum := l.book.sum()
	l.t.Log(sum)
	return sum
}

// await polls ok; that it did not come to hold is for the count to show.
func (l *load) await(within time.Duration, ok func() bool) {
	deadline, tick := time.After(within), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			l.t.Errorf("not settled within %v: %v", within, l.book.sum())
			return
		case <-tick.C:
		}
	}
}

// arrived waits until every publisher's messages come through to their subscribers.
func (l *load) arrived() {
	l.t.Helper()
	eventually(l.t, "the load has begun everywhere", func() bool {
		s := l.book.sum()
		return s.received > 0 && l.begun()
	})
}

func (l *load) begun() bool {
	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	for _, streams := range l.book.takers {
		for _, k := range streams {
			if len(k.times) == 0 {
				return false
			}
		}
	}
	return true
}

// interested waits until what is published under prefix at one node comes to another, where subscribers to prefix/#
// have subscribed before: their interest is known on the whole way.
func interested(t *testing.T, from, to, prefix string) {
	t.Helper()
	name := strings.ReplaceAll(prefix, "/", "-")
	pub, sub := dial(t, from, "probe-from-"+name), dial(t, to, "probe-to-"+name)
	sub.subscribe(prefix+"/probe", 1)
	throughFrom(t, pub, sub, prefix+"/probe")
	pub.disconnect()
	sub.end()
}
