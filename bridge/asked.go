package bridge

import (
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/spread"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// asked is an edge's side of spreading, as its core knows it. The neighbour's mu guards it.
//
//	idle ─ MOVE → asked ─┬ heard of at another core ──────────────→ idle; should it be back soon, as if it had stayed
//	                     ├ it answers that it stays, or nothing ──→ idle, not asked again for a while that doubles each time
//	                     └ its link ends, it is heard of nowhere ─→ idle
type asked struct {
	to    string    // the core that it was asked to link to; "" = idle
	at    time.Time // when
	link  *link     // over which
	times int       // that it stayed, in a row
	again time.Time // not asked before
	moved time.Time // when it went as it was asked; zero = it did not
}

// Pauses before an edge that stayed is asked again, in rounds: doubling between these.
const (
	minAskPause = 6
	maxAskPause = 360
)

// mayBeAsked tells that an edge is linked, has been for a while, understands the question, and has nothing that waits.
func (n *neighbour) mayBeAsked(now time.Time) bool {
	l := n.linkUp()
	if l == nil || !l.spreads() || n.behind() {
		return false
	}
	l.mu.Lock()
	settled := now.Sub(l.rose) >= spread.Patience*n.b.cfg.SpreadEvery
	l.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	return settled && n.asked.to == "" && !now.Before(n.asked.again) && n.rival == nil && !n.twin.fresh(now)
}

// ask asks an edge to link to another core.
func (n *neighbour) ask(place frame.Core, now time.Time) {
	l := n.link.Load()
	if l == nil {
		return
	}
	n.mu.Lock()
	n.asked.to, n.asked.at, n.asked.link = place.Name, now, l
	n.mu.Unlock()
	l.note(frame.KindMove, frame.Move{Name: place.Name, Addr: place.Addr}.Append(nil))
	n.b.countMoves(moves{asked: 1}, now)
	l.log.Debug("asked to link to another core", "core", place.Name)
}

// countMoves counts what edges do, and notes that what is told of before does not show it.
func (b *Bridge) countMoves(m moves, now time.Time) {
	s := &b.spreading
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = now
	s.counted.asked += m.asked
	s.counted.moved += m.moved
	s.counted.stayed += m.stayed
	b.metrics.asked.Add(m.asked)
	b.metrics.moved.Add(m.moved)
	b.metrics.stayed.Add(m.stayed)
}

// handleMove takes the question of a core, or the answer of an edge.
func (l *link) handleMove(body []byte) error {
	f, err := frame.DecodeMove(body)
	switch {
	case err != nil:
		return err
	case l.n.scope == mqtt.ScopeUplink && f.Answer == frame.MoveAsked:
		l.b.uplink.asked(l, f)
	case l.n.scope == mqtt.ScopeEdge && f.Answer != frame.MoveAsked:
		l.stays(f)
	}
	return nil
}

// stays takes the answer of an edge that stays.
func (l *link) stays(f frame.Move) {
	n, b, now := l.n, l.b, l.b.cfg.Now()
	n.mu.Lock()
	mine := n.asked.to == f.Name && n.asked.link == l
	n.mu.Unlock()
	if !mine {
		return
	}
	if f.Answer == frame.MoveFailed { // that core may hold it for its own
		if peer := b.lookup(f.Name); peer != nil && peer.scope == mqtt.ScopePeer {
			writes := new(batch.Batch)
			b.tellEdge(peer, n, writes)
			b.cfg.Store.Commit(writes)
		}
	}
	n.stayed(now)
	l.log.Debug("edge stays", "asked", f.Name, "reason", f.Text)
}

// stayed leaves an edge alone for a while, longer each time.
func (n *neighbour) stayed(now time.Time) {
	every := max(n.b.cfg.SpreadEvery, 1)
	n.mu.Lock()
	pause := min(every*minAskPause<<min(n.asked.times, 16), every*maxAskPause)
	n.asked = asked{times: n.asked.times + 1, again: now.Add(pause)}
	n.mu.Unlock()
	n.b.countMoves(moves{stayed: 1}, now)
}

// wentAway is called when the edge is heard of at another core.
func (n *neighbour) wentAway(now time.Time) {
	n.mu.Lock()
	was := n.asked
	if was.to != "" {
		n.asked = asked{times: was.times, moved: now}
	}
	n.mu.Unlock()
	if was.to != "" {
		n.b.countMoves(moves{moved: 1}, now)
	}
}

// cameBackLocked is called when the edge is linked here again: soon after it went as it was asked, as if it had stayed.
func (n *neighbour) cameBackLocked(now time.Time) {
	every := max(n.b.cfg.SpreadEvery, 1)
	switch went := n.asked.moved; {
	case went.IsZero():
	case now.Sub(went) < every*maxAskPause:
		pause := min(every*minAskPause<<min(n.asked.times, 16), every*maxAskPause)
		n.asked = asked{times: n.asked.times + 1, again: now.Add(pause)}
	default:
		n.asked = asked{}
	}
}

// awaited counts the edges that were asked and of which nothing was heard; those that take too long count as staying.
func (b *Bridge) awaited(now time.Time) (waiting int) {
	for _, n := range b.withScope(mqtt.ScopeEdge) {
		n.mu.Lock()
		a := n.asked
		late := a.to != "" && now.Sub(a.at) > 3*b.cfg.Handshake
		if late && n.link.Load() != a.link {
			n.asked = asked{times: a.times} // it is away
			late, a.to = false, ""
		}
		n.mu.Unlock()
		switch {
		case late:
			n.stayed(now)
		case a.to != "":
			waiting++
		}
	}
	return waiting
}

// CoreEdges is how many edges one core has.
type CoreEdges struct {
	Core   string
	Edges  int
	Share  int // how many it is to have
	Weight int
}

// SpreadStatus is how edges are spread over the cores, as this core knows it.
type SpreadStatus struct {
	Cores  []CoreEdges // by name
	Active bool        // this core asks edges to move
	Waits  string      // why it does not now; "" = nothing is against it

	Asked, Moved, Stayed int // edges, since the start
}

// Spread tells how edges are spread. Of an edge it is empty.
func (b *Bridge) Spread() SpreadStatus {
	s := &b.spreading
	s.mu.Lock()
	defer s.mu.Unlock()
	st := SpreadStatus{Active: s.active, Waits: s.latest.Hold, Asked: s.counted.asked, Moved: s.counted.moved, Stayed: s.counted.stayed}
	shares := spread.Targets(s.latest.Cores)
	for i, c := range s.latest.Cores {
		st.Cores = append(st.Cores, CoreEdges{Core: c.Name, Edges: c.Edges, Share: shares[i], Weight: max(c.Weight, 1)})
	}
	return st
}
