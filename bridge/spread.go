package bridge

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/spread"
	"mangrove/mqtt"
)

// spreading is a core's part in spreading the edges over the cores: package spread says how many are to go where.
//
//	every SpreadEvery ─┬─→ LOAD to all peers
//	                   └─→ what peers have told ─ Rule.Round ─→ MOVE to some edges
//
// Its own goroutine runs the rounds. mu guards what others look at.
type spreading struct {
	rule spread.Rule // of the rounds only

	mu       sync.Mutex
	latest   spread.View // of the latest round
	active   bool        // edges were asked to move, and that is not over
	answered time.Time   // when it was known of the last edge that was asked what it did
	since    moves       // as counted when it became active
	counted  moves       // since the start
}

// moves counts what edges did that were asked to move.
type moves struct{ asked, moved, stayed int }

// toldLoad is a LOAD frame, and the link that it came over.
type toldLoad struct {
	frame.Load
	link *link
	at   time.Time
}

// spread runs the rounds until ctx ends. Where SpreadEvery is negative no edge is asked, but the others are told all the same.
func (b *Bridge) spread() {
	defer b.running.Done()
	every := b.cfg.SpreadEvery
	if every < 0 {
		every = DefaultSpreadEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-ticker.C:
		}
		own := b.ownLoad()
		b.tellLoad(own)
		b.spreadRound(own, b.cfg.Now())
	}
}

// ownLoad is what this core tells of itself.
func (b *Bridge) ownLoad() frame.Load {
	f := frame.Load{Weight: 1, Busy: b.isSettling()}
	for _, c := range b.coreList().cores {
		f.Members += hashOf(c.Name)
		if c.Name == b.cfg.Node {
			f.Weight = c.Weight
		}
	}
	for _, n := range b.all() {
		if n.scope == mqtt.ScopeEdge && n.linkUp() != nil {
			f.Edges++
		}
		f.Busy = f.Busy || n.handsOver()
	}
	return f
}

// linkUp is the link to the neighbour, if it is up.
func (n *neighbour) linkUp() *link {
	if l := n.link.Load(); l != nil && l.stageNow() == stageUp {
		return l
	}
	return nil
}

// handsOver tells that more messages for an edge that moved than the others send on still, or for those of a core that lost its
// memory, are on their way to elsewhere.
func (n *neighbour) handsOver() bool {
	if p := n.past.Load(); p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.busy || len(p.claims) > 0
	}
	return n.mover.Load() != nil && n.behind()
}

func (b *Bridge) tellLoad(own frame.Load) {
	for _, n := range b.withScope(mqtt.ScopePeer) {
		if l := n.linkUp(); l != nil && l.spreads() {
			l.note(frame.KindLoad, own.Append(nil))
		}
	}
}

// spreads tells that the other end understands how edges are spread.
func (l *link) spreads() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.theirs.Features.Has(frame.FeatureSpread)
}

func (l *link) handleLoad(body []byte) error {
	f, err := frame.DecodeLoad(body)
	if err == nil && l.n.scope == mqtt.ScopePeer {
		l.n.load.Store(&toldLoad{f, l, l.b.cfg.Now()})
	}
	return err
}

// spreadRound asks the edges whose turn it is.
func (b *Bridge) spreadRound(own frame.Load, now time.Time) {
	s := &b.spreading
	v := b.spreadView(own, now)
	if b.cfg.SpreadEvery < 0 {
		v.Hold = "this core asks no edges (core.spread)"
	}
	asks := s.rule.Round(v)
	s.mu.Lock()
	s.latest = v
	was := s.active
	s.active = s.rule.Spreading()
	if s.active && !was {
		s.since = s.counted
	}
	done := s.counted.minus(s.since)
	s.mu.Unlock()
	switch {
	case s.rule.Spreading() && !was:
		b.cfg.Log.Info("edges are not spread evenly: some are asked to link to other cores", edgesOf(v.Cores))
	case was && !s.rule.Spreading():
		b.cfg.Log.Info("edges are spread", edgesOf(v.Cores), "moved", done.moved, "stayed", done.stayed)
	}
	for _, a := range asks {
		b.askEdges(a, now)
	}
}

func (m moves) minus(o moves) moves {
	return moves{m.asked - o.asked, m.moved - o.moved, m.stayed - o.stayed}
}

// edgesOf is how many edges each core has, for the log.
func edgesOf(cores []spread.Core) slog.Attr {
	var attrs []any
	for _, c := range cores {
		attrs = append(attrs, slog.Int(c.Name, c.Edges))
	}
	return slog.Group("edges", attrs...)
}

// spreadView is what is known of all cores, and what is against asking an edge now.
func (b *Bridge) spreadView(own frame.Load, now time.Time) spread.View {
	v := spread.View{Self: b.cfg.Node}
	hold := func(format string, args ...any) {
		if v.Hold == "" {
			v.Hold = fmt.Sprintf(format, args...)
		}
	}
	if own.Busy {
		hold("messages are being handed over, or waited for")
	}
	s := &b.spreading
	s.mu.Lock()
	answered := s.answered
	s.mu.Unlock()
	listed := false
	for _, c := range b.coreList().cores {
		if c.Name == b.cfg.Node {
			listed = true
			v.Cores = append(v.Cores, spread.Core{Name: c.Name, Edges: own.Edges, Weight: own.Weight})
			continue
		}
		told := b.loadOf(c, own.Members, now, hold)
		v.Cores = append(v.Cores, spread.Core{Name: c.Name, Edges: told.Edges, Weight: told.Weight})
		v.Old = v.Old || !told.at.After(answered)
	}
	if !listed {
		hold("edges are not told of this core")
	}
	for _, n := range b.withScope(mqtt.ScopePeer) {
		if n.linkUp() != nil && !b.listed(n.name) {
			hold("%s is linked, but no member", n.name)
		}
	}
	v.Asked = b.awaited(now)
	return v
}

// loadOf is what a peer has told of itself; hold is called where that does not count.
func (b *Bridge) loadOf(c frame.Core, members uint64, now time.Time, hold func(string, ...any)) (told toldLoad) {
	n := b.lookup(c.Name)
	var up *link
	if n != nil && n.scope == mqtt.ScopePeer {
		up = n.linkUp()
		if p := n.load.Load(); p != nil {
			told = *p
		}
	}
	switch {
	case b.isDoubted(c.Name):
		hold("%s is suspected", c.Name)
	case up == nil:
		hold("no link to %s", c.Name)
	case !up.spreads():
		hold("%s is of a version that does not tell how many edges it has", c.Name)
	case told.link != up || now.Sub(told.at) > 3*max(b.cfg.SpreadEvery, DefaultSpreadEvery):
		hold("%s has not told how many edges it has", c.Name)
	case told.Members != members:
		hold("%s knows other cores", c.Name)
	case told.Busy:
		hold("messages are being handed over, or waited for, at %s", c.Name)
	case n.queue.Full().Oldest > behindAfter:
		hold("messages for %s are behind", c.Name)
	}
	return told
}

// Bounds on what may wait for an edge that is asked to move, and at an edge that does.
const (
	behindAfter    = 5 * time.Second
	behindMessages = frame.MaxItems
)

// behind tells that more waits for the neighbour, or comes from it in part, than a moment's traffic.
func (n *neighbour) behind() bool {
	messages, _ := n.queue.Backlog()
	return messages > behindMessages || n.queue.Full().Oldest > behindAfter || n.whole.Load() != nil || n.partHeld().Name != 0
}

// askEdges asks up to a.Edges edges to link to another core: those that would choose it first, were it for them.
func (b *Bridge) askEdges(a spread.Ask, now time.Time) {
	to := slices.IndexFunc(b.coreList().cores, func(c frame.Core) bool { return c.Name == a.To })
	if to < 0 {
		return
	}
	place := b.coreList().cores[to]
	edges := slices.DeleteFunc(b.withScope(mqtt.ScopeEdge), func(n *neighbour) bool { return !n.mayBeAsked(now) })
	slices.SortFunc(edges, func(x, y *neighbour) int {
		return cmp.Compare(score(place, unit(hashOf(y.name, place.Name))), score(place, unit(hashOf(x.name, place.Name))))
	})
	for _, n := range edges[:min(a.Edges, len(edges))] {
		n.ask(place, now)
	}
}
