package bridge

import (
	"context"

	"mangrove/bridge/interest"
	"mangrove/bridge/lane"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// What is queued for a core that is away may be for its edges, which are elsewhere by then, and it may never come back. So an edge that is
// heard of elsewhere is given a copy of what it wants of that queue; it knows what it has. And a core that has stopped in order has told what its
// own clients want: when all its edges are elsewhere, nothing else is queued for it any more.
//
//	up ─┬ KEEP ─→ it stops: an edge heard of elsewhere ─→ copy at once ─ all are ─→ trimmed: interest and queue are those of its own clients
//	    └ the link ends ─→ away: after SettleTime the same copies; its interest stays
//	trimmed, away ─ a link ─→ up: it tells its interest anew, and both compare what is retained
//
// KEEP comes behind all that tells which edges are at the peer. What it tells as wanted after that counts as its own clients'.

// setKeep notes what the peer, which is about to stop, wants for its own clients.
func (n *neighbour) setKeep(l *link, keep map[string]struct{}) {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	if n.link.Load() != l {
		return
	}
	n.keep, n.stops = interest.Set{}, true
	for filter := range keep {
		if qos, ok := n.wants.QoS(filter); ok {
			n.keep.Put(filter, qos)
		}
	}
}

// back is called when there is a link again: the peer tells what it wants.
func (n *neighbour) back() {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	n.keep, n.stops = interest.Set{}, false
	writes := new(batch.Batch)
	if n.trimmed.Swap(false) {
		writes.Delete(batch.Interest, interestKey(n.num(), trimmedKey))
	}
	if n.snapshot().attach > 0 {
		n.update(writes, func(r *record) { r.attach = 0 })
	}
	n.b.cfg.Store.Commit(writes)
}

func (n *neighbour) hasStopped() bool {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	return n.stops
}

// startAbsence is called when a peer has no link any more, or not yet.
func (n *neighbour) startAbsence() {
	if n.scope != mqtt.ScopePeer || n.past.Load() != nil || !n.absent.CompareAndSwap(false, true) {
		return
	}
	if !n.b.begin() {
		n.absent.Store(false)
		return
	}
	go n.stayAway() // owned by the Bridge, ends with a link, when the peer is forgotten, or with ctx; Close waits by running
}

// stayAway looks after what is queued for a peer until it is back.
func (n *neighbour) stayAway() {
	defer n.b.running.Done()
	since := n.b.cfg.Now()
	for n.b.sleep(n.b.ctx, min(claimDelay, n.b.cfg.SettleTime)) {
		if n.absenceEnds() {
			return
		}
		stopped := n.hasStopped()
		if !stopped && n.b.cfg.Now().Sub(since) < n.b.cfg.SettleTime {
			continue
		}
		if err := n.serveLeft(n.b.ctx); err != nil {
			n.b.cfg.Log.Error("hand on messages of a core that is away", "neighbour", n.name, "error", err)
			continue
		}
		if stopped && n.stayCount() == 0 && !n.trimmed.Load() {
			n.reduce()
		}
	}
}

// absenceEnds tells that there is a link, or that the peer is forgotten or has become a past.
func (n *neighbour) absenceEnds() bool {
	if n.link.Load() == nil && !n.queue.IsClosed() && n.past.Load() == nil {
		return false
	}
	n.absent.Store(false)
	if n.link.Load() == nil {
		n.startAbsence() // it went meanwhile
	}
	return true
}

// Bounds of what is copied out of the queue of a core that is away, since each edge gets a copy: handStep is how many copies are made at a time,
// and may wait for a core that edges are at now. A queue of more than maxHandOn messages waits for the core to come back.
const (
	handStep  = 50_000
	maxHandOn = 4 * handStep
)

// serveLeft gives some of the edges that were at the peer, and are elsewhere now, copies of what is queued for it.
func (n *neighbour) serveLeft(ctx context.Context) error {
	claims := n.dueClaims(handStep)
	if len(claims) == 0 || !n.b.sleep(ctx, min(claimDelay, n.b.cfg.SettleTime)) {
		return nil
	}
	if err := n.handOn(n.takers(claims), func(*lane.Entry, *mqtt.Message, int) {}); err != nil {
		return err
	}
	writes := new(batch.Batch)
	for _, c := range claims {
		n.dropStay(c.edge, writes)
		n.update(writes, func(r *record) { r.attach++ })
	}
	return n.b.cfg.Store.CommitWait(writes)
}

// dueClaims are the claims that may be served now, at a cost of about step copies.
func (n *neighbour) dueClaims(step int) (due []claim) {
	messages, _ := n.queue.Backlog()
	if messages > maxHandOn {
		return nil
	}
	for _, c := range n.leftClaims() {
		if len(due) > 0 && (len(due)+1)*messages > step {
			break
		}
		if c.at != nil {
			if behind, _ := c.at.queue.Backlog(); behind > step {
				continue
			}
		}
		due = append(due, c)
	}
	return due
}

// reduce leaves of the peer's interest and queue what its own clients want.
func (n *neighbour) reduce() {
	dropped, ok := n.trimWants()
	if !ok || !n.b.sleep(n.b.ctx, min(claimDelay, n.b.cfg.SettleTime)) { // for publishers that were asked before
		return
	}
	own, any := new(filters), n.b.allFilters()
	own.add(n.wanted())
	spare, until, lost := map[uint64]struct{}{}, uint64(0), 0
	err := n.handOn(nil, func(e *lane.Entry, m *mqtt.Message, _ int) {
		until = e.Pos
		switch {
		case m == nil || own.match(m.Topic):
			spare[e.Pos] = struct{}{}
		case !any.match(m.Topic):
			lost++
		}
	})
	messages := 0
	if err == nil {
		messages, err = n.queue.Reduce(spare, until)
	}
	if err != nil {
		n.b.cfg.Log.Error("remove messages of a core that has stopped", "neighbour", n.name, "error", err)
		return
	}
	n.b.metrics.dropped(dropNoTaker, lost)
	n.b.cfg.Log.Info("core has stopped and its edges are elsewhere: only what its own clients want is kept for it",
		"neighbour", n.name, "filters", dropped, "messages", messages)
}

// trimWants takes out of the peer's interest what is not its own clients'. It does so only while no link is on its way: the HELLO of one
// may have said what is held.
func (n *neighbour) trimWants() (dropped int, ok bool) {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	if !n.stops || n.link.Load() != nil || n.b.isDialling(n.name) {
		return 0, false
	}
	writes := new(batch.Batch)
	for filter := range n.wants.All() {
		if _, kept := n.keep.QoS(filter); !kept {
			n.b.cfg.Router.Unsubscribe(n, filter)
			n.wants.Remove(filter)
			writes.Delete(batch.Interest, interestKey(n.num(), filter))
			dropped++
		}
	}
	writes.Put(batch.Interest, interestKey(n.num(), trimmedKey), []byte{1, 1})
	n.trimmed.Store(true)
	n.b.cfg.Store.Commit(writes)
	return dropped, true
}

// isDialling tells whether there is a connection to a peer that has no neighbour yet.
func (b *Bridge) isDialling(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.links {
		if l.expect == name {
			return true
		}
	}
	return false
}
