package bridge

import (
	"bytes"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/lane"
	"mangrove/bridge/pace"
	"mangrove/internal/batch"
	"mangrove/internal/bell"
	"mangrove/mqtt"
)

// An edge that has moved to another core:
//
//	here ─ edgeAt from Y ─→ moved: ghost takes what other cores still send here ─┐
//	                               queue for the edge ──────────────────────────┴─ mover ─→ queue for Y, "for edge"
//	moved ─ the edge attaches here again ─→ here
//	moved ─ Config.MovedLinger, queue empty ─→ forgotten

// movedTo has the edge at another core from now on.
func (n *neighbour) movedTo(core string, c frame.EdgeAt, writes *batch.Batch) {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	was := n.takerLocked()
	n.update(writes, func(r *record) {
		r.moved, r.movedTo, r.settled = n.b.cfg.Now(), core, 0
		r.store, r.lives, r.attach = c.Store, c.Lives, c.Attach
	})
	n.kin.Store(newKin(c.Store, c.Lives))
	n.moveFiltersLocked(was)
	n.b.holders.leave(n)
	n.wentAway(n.b.cfg.Now())
	n.b.cfg.Log.Info("edge moved", "edge", n.name, "to", core)
	n.startMoving()
}

// stopMoving is called when the edge attaches here again.
func (n *neighbour) stopMoving() {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	if m := n.mover.Swap(nil); m != nil {
		m.stop()
		<-m.done
	}
	was := n.takerLocked()
	n.mu.Lock()
	if n.scope != mqtt.ScopeUplink {
		n.rec.moved, n.rec.movedTo = time.Time{}, "" // written with the rest by acquaint
		n.cameBackLocked(n.b.cfg.Now())
	}
	n.mu.Unlock()
	n.moveFiltersLocked(was)
}

// moveFiltersLocked registers every filter for the current taker, then takes them from the old one. For a moment both take messages: the
// edge recognises repeats, but could not know of a gap. The caller holds wantsMu.
func (n *neighbour) moveFiltersLocked(was mqtt.Subscriber) {
	is := n.takerLocked()
	if is == was {
		return
	}
	for filter, qos := range n.wants.All() {
		n.subscribe(is, filter, qos)
	}
	for filter := range n.wants.All() {
		n.b.cfg.Router.Unsubscribe(was, filter)
	}
}

// mover hands the queue of an edge that moved over to the queue of the core it moved to.
type mover struct {
	n    *neighbour
	wake bell.Bell
	quit chan struct{}
	done chan struct{}
}

// startMoving begins or goes on; the caller holds wantsMu, or nobody else knows n yet.
func (n *neighbour) startMoving() {
	if m := n.mover.Load(); m != nil {
		m.wake.Ring()
		return
	}
	if !n.b.begin() {
		return
	}
	m := &mover{n: n, wake: bell.New(), quit: make(chan struct{}), done: make(chan struct{})}
	n.mover.Store(m)
	go m.run() // owned by the neighbour; ended by stopMoving or Bridge.Close, which wait for it
}

// stop is called once, by who took the mover out of its neighbour.
func (m *mover) stop() { close(m.quit) }

// moverRetry is the pause after an error.
const moverRetry = time.Second

func (m *mover) run() {
	defer m.n.b.running.Done()
	defer close(m.done)
	q := m.n.queue
	q.Attach(m) // from a link that is ending
	defer q.Detach(m)
	defer m.n.trim()
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		q.Adopt(m) // should that link have opened late
		more, err := m.step()
		if err != nil {
			m.n.b.cfg.Log.Error("hand over messages of an edge that moved", "edge", m.n.name, "error", err)
			q.Attach(m) // from the front again
			retry.Reset(moverRetry)
		}
		if more && err == nil && !m.stopped() {
			continue
		}
		select {
		case <-m.wake:
		case <-retry.C:
		case <-m.quit:
			return
		case <-m.n.b.ctx.Done():
			return
		}
	}
}

func (m *mover) stopped() bool {
	select {
	case <-m.quit:
		return true
	case <-m.n.b.ctx.Done():
		return true
	default:
		return false
	}
}

// step moves up to one frame's worth in one batch and waits until it is stable.
func (m *mover) step() (more bool, err error) {
	b, q := m.n.b, m.n.queue
	target := b.lookup(m.n.snapshot().movedTo)
	if target == nil {
		return false, nil
	}
	entries, refill := q.Next(m, nil, lane.Credit{Messages: frame.MaxItems, Bytes: pace.MaxFrame}, pace.MaxFrame, b.cfg.Now())
	if len(entries) == 0 {
		if !refill {
			return false, nil
		}
		return q.Refill(m)
	}
	bodies, err := m.read(entries) // before anything is written: what a queue has written must be committed
	if err != nil {
		return false, err
	}
	writes, moved := new(batch.Batch), 0
	for i := range entries {
		if bodies[i] == nil {
			q.Discard(m, entries[i].Pos, lane.DropDamaged)
			continue
		}
		m.move(&entries[i], bodies[i], target.queue, writes)
		moved++
	}
	if err := b.cfg.Store.CommitWait(writes); err != nil {
		return false, err
	}
	q.Ack(m, entries[len(entries)-1].Pos)
	b.metrics.handedOver.Add(moved)
	return true, nil
}

// read fetches the bodies of entries; nil = cannot be read.
func (m *mover) read(entries []lane.Entry) (bodies [][]byte, err error) {
	ids := make([]uint64, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	bodies = make([][]byte, len(entries))
	return bodies, m.n.b.bodies(ids, func(i int, body []byte) { bodies[i] = bytes.Clone(body) })
}

// move writes one entry into the other queue and out of this one.
func (m *mover) move(e *lane.Entry, body []byte, to *lane.Queue, writes *batch.Batch) {
	moved := lane.Entry{ID: e.ID, Size: e.Size, Expires: e.Expires, QoS: e.QoS, Kind: e.Kind, Edge: m.n.name}
	to.Append(moved, writes, func(dst []byte) []byte { return append(dst, body...) })
	m.n.queue.Delete(e, writes)
}

// takeFor queues a message that another core kept for an edge. It was published there already: it goes to
// that edge only, which recognises what it has.
func (b *Bridge) takeFor(edge string, it frame.Item, writes *batch.Batch) {
	n := b.lookup(edge)
	if n == nil || n.scope != mqtt.ScopeEdge {
		b.metrics.dropped(lane.DropNeighbourGone, 1)
		return
	}
	m, err := decodeMessage(it.Body, b.cfg.Now())
	if err != nil {
		b.cfg.Log.Warn("message handed over is not valid", "edge", edge, "error", err)
		b.metrics.dropped(dropInvalid, 1)
		return
	}
	if n.kin.Load().has(m.Origin.Life) || !n.wantsTopic(m.Topic) {
		return // what was kept for a core that lost its memory may be for another of its edges
	}
	m.ID = b.cfg.Store.NextID()
	n.queue.Append(n.queue.Entry(m, m.QoS, it.Kind), writes, func(dst []byte) []byte { return mqtt.AppendMessage(dst, m) })
}

// trim removes from the disk what left the queue.
func (n *neighbour) trim() { n.queue.Trim() }
