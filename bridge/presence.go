package bridge

import (
	"slices"
	"sync"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/bell"
	"mangrove/internal/due"
	"mangrove/mqtt"
)

// presence is which edges of the fleet are connected, wherever that is: the same at each core, as far as its links reach.
//
//	an edge's link comes up, ends ─────────────────┐             ┌─ PRESENCE ─→ peers
//	PRESENCE of a peer: its edges, then changes ───┼─ claims ────┴─ WatchEdges ─→ $SYS/broker/connection/NAME/state
//	the link to a peer ends: none of its edges ────┘   └─ none for Config.AwayAfter: away
//
// AwayAfter is what an edge may take to move. An edge that is known from before a start has SettleTime to be heard of. A peer of
// the version before tells nothing: an edge that is noted to be there (stays.go) counts as connected while the peer is. Safe for
// concurrent use; the mutex is taken under any other.
type presence struct {
	b    *Bridge
	bell bell.Bell // there is something to tell

	mu      sync.Mutex
	edges   map[string]*attendance
	unclear due.Heap[*attendance] // those that nobody claims, by when they are away; in nanoseconds since Bridge.started
	news    []*attendance         // to be told to the watcher
	there   int
	tellers map[*link]*teller
}

// attendance is what is known of one edge.
type attendance struct {
	edge  string
	here  bool         // it has a link to this core
	at    []*neighbour // peers that say that it is there
	state byte         // as frame.EdgeState; unheard before it was told
	told  bool         // news does not have it
	mark  due.Mark
}

const unheard byte = 255

// Due implements due.Item. presence.mu guards it.
func (a *attendance) Due() *due.Mark { return &a.mark }

// teller is what a peer is still to be told.
type teller struct {
	first bool
	edges map[string]byte
}

func newPresence(b *Bridge) *presence {
	return &presence{b: b, bell: bell.New(), edges: map[string]*attendance{}, tellers: map[*link]*teller{}}
}

// know notes an edge that was known before this start.
func (p *presence) know(edge string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.findLocked(edge); a != nil && a.state == unheard && !a.claimed() {
		p.unclear.Set(a, int64(p.b.cfg.SettleTime))
	}
}

// remember notes the edges that are known of a neighbour from before this start.
func (p *presence) remember(n *neighbour) {
	if n.scope == mqtt.ScopeEdge {
		p.know(n.name)
	}
	for _, edge := range n.staying() {
		p.know(edge)
	}
}

// claim notes that an edge is connected to at, a peer, or here when that is nil.
func (p *presence) claim(edge string, at *neighbour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.findLocked(edge)
	switch {
	case a == nil:
		return
	case at == nil && !a.here:
		a.here = true
		p.spreadLocked(edge, frame.EdgeThere)
	case at != nil && !slices.Contains(a.at, at):
		a.at = append(a.at, at)
	}
	p.unclear.Remove(a)
	p.setLocked(a, frame.EdgeThere)
}

// unclaim notes that an edge is not there any more.
func (p *presence) unclaim(edge string, at *neighbour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.edges[edge]; a != nil {
		p.unclaimLocked(a, at)
	}
}

func (p *presence) unclaimLocked(a *attendance, at *neighbour) {
	was := a.claimed()
	if at == nil && a.here {
		a.here = false
		p.spreadLocked(a.edge, frame.EdgeAway)
	} else if at != nil {
		a.at = slices.DeleteFunc(a.at, func(n *neighbour) bool { return n == at })
	}
	if was && !a.claimed() {
		p.unclear.Set(a, int64(p.b.cfg.Now().Sub(p.b.started)+p.b.cfg.AwayAfter))
		p.bell.Ring()
	}
}

// leave notes that nothing is known any more of the edges at a peer.
func (p *presence) leave(at *neighbour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.edges {
		p.unclaimLocked(a, at)
	}
}

// forget takes out an edge that no core has any more, or of which here is nothing left.
func (p *presence) forget(edge string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.edges[edge]
	if a == nil || a.claimed() {
		return
	}
	p.spreadLocked(edge, frame.EdgeForgotten)
	p.unclear.Remove(a)
	delete(p.edges, edge)
	p.setLocked(a, frame.EdgeForgotten)
}

func (a *attendance) claimed() bool { return a.here || len(a.at) > 0 }

// findLocked finds an edge or takes it in; nil when there are too many.
func (p *presence) findLocked(edge string) *attendance {
	a := p.edges[edge]
	if a == nil && len(p.edges) < maxStays {
		a = &attendance{edge: edge, state: unheard, told: true}
		p.edges[edge] = a
	}
	return a
}

// setLocked changes what is told of an edge.
func (p *presence) setLocked(a *attendance, state byte) {
	if a.state == state {
		return
	}
	if a.state == frame.EdgeThere {
		p.there--
	}
	if state == frame.EdgeThere {
		p.there++
	}
	if a.state = state; a.told {
		a.told = false
		p.news = append(p.news, a)
	}
	p.bell.Ring()
}

// settleLocked has edges that nobody has claimed for long enough be away, and tells how long none will be.
func (p *presence) settleLocked() (wait time.Duration) {
	for {
		now := p.b.cfg.Now().Sub(p.b.started)
		first, some := p.unclear.First()
		if !some {
			return time.Hour
		}
		if at := time.Duration(first.mark.At); at > now {
			return at - now
		}
		p.unclear.Remove(first)
		p.setLocked(first, frame.EdgeAway)
	}
}

// spreadLocked has peers told of an edge that comes or goes here.
func (p *presence) spreadLocked(edge string, state byte) {
	for l, t := range p.tellers {
		t.edges[edge] = state
		l.kick()
	}
}

// attach has a peer told of the edges that are here, and of changes.
func (p *presence) attach(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &teller{first: true, edges: map[string]byte{}}
	for edge, a := range p.edges {
		if a.here {
			t.edges[edge] = frame.EdgeThere
		}
	}
	p.tellers[l] = t
}

func (p *presence) detach(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tellers, l)
}

// pull is the next frame for a peer, of about most bytes; false = it has been told all.
func (p *presence) pull(l *link, most int) (f frame.Presence, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tellers[l]
	if t == nil || !t.first && len(t.edges) == 0 {
		return f, false
	}
	f.First, t.first = t.first, false
	for edge, state := range t.edges {
		if most -= len(edge) + 4; len(f.Edges) == frame.MaxPresence || most < 0 && len(f.Edges) > 0 {
			break
		}
		f.Edges = append(f.Edges, frame.EdgeState{Edge: edge, State: state})
		delete(t.edges, edge)
	}
	return f, true
}

// sendPresence tells a peer of edges, if there is something to tell. Part of run.
func (l *link) sendPresence(frameBytes int) (sent bool, err error) {
	if l.n.scope != mqtt.ScopePeer {
		return false, nil
	}
	f, ok := l.b.presence.pull(l, frameBytes)
	if !ok {
		return false, nil
	}
	return true, l.sendOnLine(frame.KindPresence, f.Append(nil), 0)
}

// handlePresence takes what a peer tells of its edges.
func (l *link) handlePresence(body []byte) error {
	f, err := frame.DecodePresence(body)
	if err != nil || l.n.scope != mqtt.ScopePeer {
		return err
	}
	p := l.b.presence
	if f.First {
		p.leave(l.n)
	}
	for _, e := range f.Edges {
		switch e.State {
		case frame.EdgeThere:
			p.claim(e.Edge, l.n)
		case frame.EdgeAway:
			p.unclaim(e.Edge, l.n)
		case frame.EdgeForgotten:
			p.unclaim(e.Edge, l.n)
			l.b.forgetStay(e.Edge, l.n)
		}
	}
	return nil
}

// forgetStay forgets an edge that its core has forgotten, unless something is queued that may be for it.
func (b *Bridge) forgetStay(edge string, at *neighbour) {
	if _, ok := at.stayOf(edge); ok && at.past.Load() == nil && at.queue.Empty() {
		writes := new(batch.Batch)
		at.dropStay(edge, writes)
		b.cfg.Store.Commit(writes)
	}
	if _, ok := b.whereIs(edge); !ok {
		b.presence.forget(edge)
	}
}

// edgeComes is called when a link has come up.
func (p *presence) edgeComes(l *link) {
	switch l.n.scope {
	case mqtt.ScopeEdge:
		p.claim(l.n.name, nil)
	case mqtt.ScopePeer:
		if p.attach(l); !l.tellsEdges() {
			for _, edge := range l.n.staying() {
				p.claim(edge, l.n)
			}
		}
	}
}

// heard notes that an edge is at a peer which tells nothing itself, and at no other such.
func (p *presence) heard(edge string, at *neighbour) {
	for _, n := range p.b.withScope(mqtt.ScopePeer) {
		if l := n.link.Load(); l == nil || l.tellsEdges() {
			continue
		}
		if n == at {
			p.claim(edge, n)
		} else {
			p.unclaim(edge, n)
		}
	}
}

// tellsEdges reports whether the far side sends PRESENCE.
func (l *link) tellsEdges() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.theirs.Features.Has(frame.FeaturePresence)
}

// edgeGoes is called when a neighbour has no link any more.
func (p *presence) edgeGoes(n *neighbour) {
	switch n.scope {
	case mqtt.ScopeEdge:
		p.unclaim(n.name, nil)
	case mqtt.ScopePeer:
		p.leave(n)
	}
}

// staying lists the edges that are noted to be at a peer.
func (n *neighbour) staying() (edges []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for edge, s := range n.stays {
		if !s.left {
			edges = append(edges, edge)
		}
	}
	return edges
}

// WatchEdges calls tell for each edge of the fleet that a core knows, now and whenever that changes, until stop is closed: whether it
// is known, and connected somewhere. Calls come one at a time. There is one watcher at a time.
func (b *Bridge) WatchEdges(stop <-chan struct{}, tell func(edge string, known, connected bool)) {
	p := b.presence
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(p.tellNews(tell))
		select {
		case <-p.bell:
		case <-timer.C:
		case <-stop:
			return
		}
	}
}

// tellNews tells what has changed, and returns how long nothing will by itself.
func (p *presence) tellNews(tell func(edge string, known, connected bool)) (wait time.Duration) {
	p.mu.Lock()
	wait = p.settleLocked()
	news := make([]frame.EdgeState, len(p.news))
	for i, a := range p.news {
		a.told = true
		news[i] = frame.EdgeState{Edge: a.edge, State: a.state}
	}
	p.news = nil
	p.mu.Unlock()
	for _, e := range news {
		tell(e.Edge, e.State != frame.EdgeForgotten, e.State == frame.EdgeThere)
	}
	return wait
}

// Edges tells how many edges of the fleet this core knows, how many of them are connected somewhere, and the names of some that are
// not, most at most.
func (b *Bridge) Edges(most int) (known, connected int, away []string) {
	p := b.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settleLocked()
	for edge, a := range p.edges {
		if a.state == frame.EdgeAway {
			away = append(away, edge)
		}
	}
	slices.Sort(away)
	return len(p.edges), p.there, away[:min(len(away), most)]
}
