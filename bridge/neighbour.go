package bridge

import (
	"sync"
	"sync/atomic"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/interest"
	"mangrove/bridge/lane"
	"mangrove/internal/batch"
	"mangrove/internal/notice"
	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// neighbour is what this node knows of another one, whether connected or not: who it is, what it wants, and
// what it is still owed. For the Router it is one more subscriber.
//
//	Router ─Deliver→ ┬ queue (durable lane)  ┐
//	                 └ ring  (volatile lane) ┴─→ link, while there is one
//
// Safe for concurrent use.
type neighbour struct {
	b     *Bridge
	name  string
	scope mqtt.Scope
	queue *lane.Queue
	ring  *lane.Ring
	ghost ghost

	kin    atomic.Pointer[kin] // of record.store and record.lives, for Deliver
	link   atomic.Pointer[link]
	remote atomic.Pointer[remoteLink] // in place of link, when the uplink is a broker that is no Mangrove node
	load   atomic.Pointer[toldLoad]   // what a peer has told of its edges
	whole  atomic.Pointer[whole]      // what goes to it in fragments and is not acknowledged
	part   part                       // what comes from it in fragments
	mover  atomic.Pointer[mover]      // while the edge is at another core

	sent, received, repeats atomic.Uint64 // messages
	lastRetained            atomic.Uint64 // body id of the retained message taken last
	ahead                   atomic.Bool   // its clock is too far ahead to go by

	wantsMu  sync.Mutex // one change of interest at a time; taken before mu
	wants    interest.Set
	incoming *interest.Set // snapshot that is being received

	past    atomic.Pointer[past] // of a peer that came back without its memory; nil = it has not
	keep    interest.Set         // of a peer that is about to stop, or has: what its own clients want; wantsMu guards it
	stops   bool                 // keep counts; wantsMu guards it
	absent  atomic.Bool          // stayAway runs
	trimmed atomic.Bool          // wants is keep: its edges are elsewhere

	mu        sync.Mutex
	rec       record
	key       string          // in table Neighbours and in Bridge.neighbours: the name, but for a past
	stays     map[string]stay // of a peer: edges, by name
	holder    frame.Hello     // of link
	twin      twin
	asked     asked          // of an edge
	rival     *rival         // while it is found out which core an edge is at; else nil
	since     time.Time      // of the state
	down      time.Time      // since when there is no link; zero = there is, or none was looked for
	failing   notice.Trouble // of attempts to reach it
	lastError string
	addr      string // of the link, or what is dialled
	dialling  bool
}

// ghost stands in the Router for an edge that has moved to another core: it takes what other cores still
// send here for that edge, and does not count as interest.
type ghost struct{ n *neighbour }

func (b *Bridge) newNeighbour(name string, rec record) *neighbour {
	n := &neighbour{b: b, name: name, key: name, scope: rec.scope, rec: rec, since: b.cfg.Now()}
	n.ghost.n = n
	n.kin.Store(newKin(rec.store, rec.lives))
	n.queue = lane.NewQueue(b.queueConfig(n, rec.num))
	n.ring = lane.NewRing(b.cfg.MaxVolatileMessages, b.cfg.MaxVolatileBytes, b.metrics.dropped)
	return n
}

// queueConfig is what the durable lane to n is made with; only an edge's uplink sends before it has written.
func (b *Bridge) queueConfig(n *neighbour, num uint64) lane.Config {
	cfg := lane.Config{
		Store: b.cfg.Store, Num: num, Now: b.cfg.Now, Name: n.title(), Log: b.cfg.Log,
		MaxMessages: b.cfg.MaxQueueMessages, MaxBytes: b.cfg.MaxQueueBytes, WhenFull: b.cfg.WhenFull,
		Changed: n.wake, Dropped: n.dropped, Parked: b.metrics.parked, Early: b.metrics.early, Late: b.metrics.earlyWritten,
	}
	if n.scope == mqtt.ScopeUplink {
		cfg.Patience, cfg.Spares = b.cfg.EarlyPatience, true
	}
	return cfg
}

// dropped counts messages that n is not sent. A retained one may be among them.
func (n *neighbour) dropped(reason string, messages int) {
	n.b.metrics.dropped(reason, messages)
	n.doubt()
}

// Deliver implements mqtt.Subscriber.
func (n *neighbour) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	if n.scope == mqtt.ScopePeer && m.Retain && !n.trimmed.Load() {
		return // retainedTap.Deliver gives it to all peers
	}
	if n.loops(m) {
		return
	}
	r.Count()
	n.take(m, d.QoS, frame.ItemMessage, r)
}

// loops tells that m must not go there: it came from there, or is not for other nodes.
func (n *neighbour) loops(m *mqtt.Message) bool {
	switch {
	case m.From.Scope == n.scope && (n.scope == mqtt.ScopePeer || m.From.Name == n.name):
		return true // between cores one hop is enough: each tells all others itself
	case n.kin.Load().has(m.Origin.Life):
		return true
	}
	return !topic.Crosses(m.Topic)
}

// take queues m. Retained messages are kept at any QoS: the state of all nodes is to be the same in the end.
func (n *neighbour) take(m *mqtt.Message, qos, kind byte, r *mqtt.Receipt) {
	if m.Retain && n.lastRetained.Swap(m.ID) == m.ID {
		return // it wants the topic and holds it
	}
	if qos > 0 || m.Retain {
		if n.queue.Add(m, min(qos, m.QoS), kind, r) {
			n.wake()
		}
		return
	}
	if n.past.Load() != nil {
		return // QoS 0 is not kept
	}
	if n.ring.Add(m) {
		n.wake()
	}
}

// countReceived counts a message from the neighbour that was new here; taken tells that there was somebody for it.
func (n *neighbour) countReceived(taken bool) {
	n.received.Add(1)
	n.b.metrics.received.Inc()
	if !taken {
		n.b.metrics.dropped(dropNoTaker, 1)
	}
}

// ClientID implements mqtt.Subscriber.
func (n *neighbour) ClientID() string { return n.name }

// Scope implements mqtt.Subscriber.
func (n *neighbour) Scope() mqtt.Scope { return n.scope }

// Online implements mqtt.Subscriber.
func (n *neighbour) Online() bool { return n.link.Load() != nil || n.remote.Load() != nil }

// Deliver implements mqtt.Subscriber.
func (g *ghost) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	if m.From.Scope == mqtt.ScopePeer && !g.n.loops(m) && d.QoS > 0 {
		r.Count()
		g.n.take(m, d.QoS, frame.ItemMessage, r)
	}
}

// ClientID implements mqtt.Subscriber.
func (g *ghost) ClientID() string { return g.n.name }

// Scope implements mqtt.Subscriber.
func (g *ghost) Scope() mqtt.Scope { return mqtt.ScopeTap }

// Online implements mqtt.Subscriber.
func (g *ghost) Online() bool { return false }

// wake tells whoever empties the queues that there is something. Does not block.
func (n *neighbour) wake() {
	if l := n.link.Load(); l != nil {
		l.kick()
	}
	if l := n.remote.Load(); l != nil {
		l.kick()
	}
	if m := n.mover.Load(); m != nil {
		m.wake.Ring()
	}
}

// update changes the record and writes it into b.
func (n *neighbour) update(b *batch.Batch, change func(*record)) {
	n.mu.Lock()
	change(&n.rec)
	b.Put(batch.Neighbours, []byte(n.key), n.rec.append(nil, n.b.cfg.Store))
	n.mu.Unlock()
}

// snapshot returns the record as it is now.
func (n *neighbour) snapshot() record {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rec
}
