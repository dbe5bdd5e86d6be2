package bridge

import (
	"errors"
	"math"

	"mangrove/bridge/frame"
	"mangrove/bridge/lane"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// greet makes the link the neighbour's: from here on the far side has a name.
func (l *link) greet(h frame.Hello, scope mqtt.Scope) error {
	name := h.Name
	if scope == mqtt.ScopeUplink {
		name = uplinkName
	}
	if scope != mqtt.ScopeUplink && !l.dialled && !l.b.hasPlace(name) {
		l.refuseStranger(name)
		return nil
	}
	n, err := l.b.meet(name, scope)
	if err != nil {
		return err
	}
	if n == nil || n.queue.IsClosed() {
		l.refuseName(h)
		return nil
	}
	if l.detour != nil && (scope != mqtt.ScopePeer || l.dialled && n.hasLine()) {
		l.fail(errReplaced, &frame.Goaway{Code: frame.GoawayReplaced, Text: errReplaced.Error()})
		return nil
	}
	n = l.b.succeed(n, h)
	if !n.claim(l, h) {
		n.contest(l, h)
		return nil
	}
	l.log = l.log.With("neighbour", h.Name)
	n.stopMoving()
	if scope == mqtt.ScopePeer {
		n.back()
	}
	l.acquaint(n, h)
	l.mu.Lock()
	l.n, l.theirs, l.stage = n, h, stageGreeted
	if !h.Hold {
		l.credit = lane.Credit{Messages: h.Window, Bytes: h.WindowBytes}
	}
	leaving := l.leaving
	l.mu.Unlock()
	l.hearClock(int64(min(h.Clock, math.MaxInt64)))
	if leaving {
		return errors.New("link is over")
	}
	l.kick()
	return nil
}

// claim takes the neighbour for l, in place of an older connection of the same node. It fails when another
// node of that name is connected, also when it runs on a copy of the same folder.
func (n *neighbour) claim(l *link, h frame.Hello) bool {
	n.mu.Lock()
	old := n.link.Load()
	if n.queue.IsClosed() || n.past.Load() != nil || old != nil && n.scope != mqtt.ScopeUplink && !supersedes(&n.holder, &h) {
		n.mu.Unlock()
		return false
	}
	n.holder = h
	n.link.Store(l)
	n.mu.Unlock()
	if old != nil {
		old.fail(errReplaced, &frame.Goaway{Code: frame.GoawayReplaced, Text: errReplaced.Error()})
	}
	return true
}

// hasLine tells whether there is a link to the neighbour that goes through no other core.
func (n *neighbour) hasLine() bool {
	l := n.link.Load()
	return l != nil && l.detour == nil
}

var errReplaced = errors.New("replaced by a newer connection")

// acquaint brings the neighbour's record up to date, and tells a node that is new here what the others know
// already.
func (l *link) acquaint(n *neighbour, h frame.Hello) {
	b, writes := l.b, new(batch.Batch)
	was := n.snapshot()
	isNew, image := was.store != h.Store, lineageOf(was.lives, h.Lives) == lineageApart
	if (isNew || image) && n.scope == mqtt.ScopeEdge { // a peer's digest tells; where we dialled, ours has been told
		n.forgetWants(writes)
	}
	n.kin.Store(newKin(h.Store, h.Lives))
	b.seen.End(h.Lives[min(1, len(h.Lives)):])
	if n.lacksMemory(&was, &h) {
		b.settle(n.name)
	}
	if (isNew || image) && n.scope == mqtt.ScopePeer {
		if !h.Features.Has(frame.FeatureReconcile) { // else they compare
			writes = n.replay("#", 2, writes)
		}
		b.tellEdges(n, writes)
	}
	n.update(writes, func(r *record) {
		r.store, r.lives, r.lastSeen = h.Store, h.Lives, b.cfg.Now()
		switch n.scope {
		case mqtt.ScopeEdge:
			r.attach = l.countAttach(&was, &h)
		case mqtt.ScopeUplink:
			r.attach = max(r.attach, h.Counts)
			r.settled = r.attach
		}
	})
	b.cfg.Store.Commit(writes)
	switch {
	case isNew:
		l.log.Info("met neighbour", "store", h.Store, "scope", scopeName(n.scope))
	case image:
		l.log.Info("neighbour runs on an older image of its data folder, or on a copy of it", "store", h.Store, "scope", scopeName(n.scope))
	}
}

// countAttach is the number of an edge's attachment. An edge on an older image of its folder counts from there: its
// attachment is a later one all the same, and it is told the number that it counts as.
func (l *link) countAttach(was *record, h *frame.Hello) uint64 {
	if h.Life() == 0 || was.store != h.Store || h.Attach > was.attach {
		return h.Attach
	}
	switch lineageOf(was.lives, h.Lives) {
	case lineageApart, lineageEarlier:
		l.counts = was.attach + 1
		return l.counts
	}
	return h.Attach
}

// opened is called when the link is up.
func (n *neighbour) opened(l *link) {
	n.mu.Lock()
	if n.link.Load() != l {
		n.mu.Unlock()
		return
	}
	n.queue.Attach(l)
	n.queue.AllowEarly(l)
	n.ring.SetOpen(true)
	told := n.upLocked(l.addr)
	n.mu.Unlock()
	l.b.presence.edgeComes(l)
	l.log.Info("link up", told...)
	l.b.linkTurned(n)
	l.kick()
}

// release ends the link's hold on the neighbour, if it still has it.
func (n *neighbour) release(l *link) {
	n.queue.Detach(l)
	n.b.presence.detach(l)
	defer n.b.linkTurned(n)
	defer n.startAbsence()
	defer n.wake() // a mover may wait for the queue
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.link.Load() != l {
		return
	}
	n.link.Store(nil)
	n.b.presence.edgeGoes(n)
	n.ring.SetOpen(false)
	n.since = n.b.cfg.Now()
	n.down = n.since
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if err != nil {
		n.lastError = reasonText(err)
	}
	l.log.Info("link down", "reason", err)
	writes := new(batch.Batch)
	n.rec.lastSeen = n.since
	writes.Put(batch.Neighbours, []byte(n.key), n.rec.append(nil, n.b.cfg.Store))
	n.b.cfg.Store.Commit(writes)
}

func scopeName(s mqtt.Scope) string {
	switch s {
	case mqtt.ScopeEdge:
		return "edge"
	case mqtt.ScopePeer:
		return "peer"
	case mqtt.ScopeUplink:
		return "uplink"
	}
	return "client"
}
