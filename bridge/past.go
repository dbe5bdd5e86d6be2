package bridge

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/interest"
	"mangrove/bridge/lane"
	"mangrove/internal/batch"
	"mangrove/internal/bell"
	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// A core that comes back without its memory (on a new disk, from a backup, from an older image) knows neither its edges nor what
// they want. What its peers hold for it is not for it but for those edges, wherever they turn up:
//
//	core-2, store A ─ HELLO of core-2 with store B ─┬→ a new neighbour core-2, which holds A's interest until B tells its own
//	                                                └→ core-2's past: the queue and the interest of A
//	past ─ an edge that was at A is heard of ─→ a copy "for the edge" into the queue to where it is; the edge knows what it has
//	past ─ B's interest is complete ─→ a copy of what it wants
//	past ─ SettleTime, and no edge left that was at A; or NeighbourExpiry ─→ once more what B wants; forgotten
//
// The past goes on taking messages by A's interest, so that those are kept which are published while an edge is attached nowhere.
type past struct {
	n    *neighbour
	wake bell.Bell
	done chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	claims []claim
	busy   bool // claims are being served
	ending bool // the last pass was asked for
	ended  bool // it is done
}

// claim asks for a copy of what is queued.
type claim struct {
	edge string     // for this edge; "" = for the node that has the name now
	at   *neighbour // the peer that the edge is at; nil = here
}

const (
	// claimDelay lets publishers that were asked before the claim come to their commit.
	claimDelay = time.Second
	// maxPasts bounds the pasts of one name; the oldest gives way.
	maxPasts = 8
)

// succeed finds who is meant by a HELLO under n's name: n itself, or a new neighbour when the node has lost its memory.
func (b *Bridge) succeed(n *neighbour, h frame.Hello) *neighbour {
	if n.scope != mqtt.ScopePeer || !forgot(n.snapshot(), h) || n.link.Load() != nil {
		return n
	}
	b.boundPasts(n.name)
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	writes := new(batch.Batch)
	heir := b.swap(n, writes)
	if heir == nil {
		return n // somebody is connected, or was faster
	}
	heir.wantsMu.Lock()
	defer heir.wantsMu.Unlock()
	for filter, qos := range n.wants.All() {
		heir.wants.Put(filter, qos)
		heir.subscribe(heir, filter, qos)
		writes.Put(batch.Interest, interestKey(heir.num(), filter), []byte{qos})
	}
	b.cfg.Store.Commit(writes)
	messages, _ := n.queue.Backlog()
	b.cfg.Log.Info("core came back without its memory: what is queued for it is kept for the edges that it had",
		"neighbour", n.name, "messages", messages, "edges", n.stayCount())
	n.startPast()
	return heir
}

// forgot tells that the node of a HELLO does not know what the one of rec knew.
func forgot(rec record, h frame.Hello) bool {
	if rec.store == 0 {
		return false
	}
	if rec.store != h.Store {
		return true
	}
	switch lineageOf(rec.lives, h.Lives) {
	case lineageApart, lineageEarlier:
		return true
	}
	return false
}

// swap makes n a past and puts a new neighbour in its place; nil when n is linked or no longer in its place.
func (b *Bridge) swap(n *neighbour, writes *batch.Batch) (heir *neighbour) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if b.closed || b.neighbours[n.name] != n || n.link.Load() != nil || n.queue.IsClosed() {
		return nil
	}
	heir = b.newNeighbour(n.name, record{num: b.cfg.Store.NextID(), scope: mqtt.ScopePeer, lastSeen: b.cfg.Now(), cores: n.rec.cores})
	n.key = fmt.Sprintf("%s%s/%x", pastPrefix, n.name, n.rec.num)
	n.rec.moved, n.rec.movedTo, n.rec.cores = b.cfg.Now(), n.name, nil
	n.past.Store(&past{n: n, wake: bell.New(), done: make(chan struct{})})
	b.neighbours[n.key], b.neighbours[n.name] = n, heir
	writes.Put(batch.Neighbours, []byte(n.key), n.rec.append(nil, b.cfg.Store))
	writes.Put(batch.Neighbours, []byte(n.name), heir.rec.append(nil, b.cfg.Store))
	return heir
}

// pastsOf lists the pasts of a name, oldest first.
func (b *Bridge) pastsOf(name string) (found []*neighbour) {
	for _, n := range b.all() {
		if n.past.Load() != nil && n.name == name {
			found = append(found, n)
		}
	}
	return found
}

// claimPasts gives the node of a name, whose interest is known now, what it wants of its pasts.
func (b *Bridge) claimPasts(name string) {
	for _, n := range b.pastsOf(name) {
		n.past.Load().claim(claim{})
	}
}

// boundPasts makes room for one more.
func (b *Bridge) boundPasts(name string) {
	if all := b.pastsOf(name); len(all) >= maxPasts {
		all[0].past.Load().stop()
		messages, _ := all[0].queue.Backlog()
		b.metrics.dropped(lane.DropNeighbourGone, messages)
		b.cfg.Log.Warn("core lost its memory too often: what was kept for its edges first is dropped",
			"neighbour", name, "messages", messages)
		all[0].remove(lane.DropNeighbourGone)
	}
}

// startPast begins to serve claims, those of edges that were heard of elsewhere before among them.
func (n *neighbour) startPast() {
	p := n.past.Load()
	if !n.b.begin() {
		close(p.done)
		return
	}
	for _, c := range n.leftClaims() {
		p.claim(c)
	}
	go p.run() // owned by the neighbour, ends with the last pass or Bridge.Close, which waits for it
}

// claim asks for a copy. Does not block.
func (p *past) claim(c claim) {
	p.mu.Lock()
	p.claims = append(p.claims, c)
	p.mu.Unlock()
	p.wake.Ring()
}

// stop ends the goroutine and waits for it.
func (p *past) stop() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.wake.Ring()
	<-p.done
}

func (p *past) run() {
	defer p.n.b.running.Done()
	defer close(p.done)
	for {
		claims, ending, ended := p.take()
		if ended {
			return
		}
		if len(claims) == 0 && !ending {
			select {
			case <-p.wake:
				continue
			case <-p.n.b.ctx.Done():
				return
			}
		}
		if !p.pause(claimDelay) {
			return
		}
		if err := p.serve(claims, ending); err != nil {
			p.n.b.cfg.Log.Error("hand on messages of a core that lost its memory", "neighbour", p.n.name, "error", err)
			p.again(claims)
		} else if ending {
			p.end()
		}
	}
}

// take takes all claims at once: one pass over the queue serves them.
func (p *past) take() (claims []claim, ending, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	claims, p.claims = p.claims, nil
	p.busy = len(claims) > 0
	return claims, p.ending, p.ended
}

func (p *past) again(claims []claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = append(claims, p.claims...)
}

func (p *past) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

func (p *past) isEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

func (p *past) pause(d time.Duration) (ok bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.n.b.ctx.Done():
		return false
	}
}

// serve makes one pass over the queue. The edges' stays are forgotten with the last batch.
func (p *past) serve(claims []claim, last bool) error {
	n := p.n
	if last {
		claims = append(claims, claim{})
	}
	any, lost := new(filters), 0
	if last && n.snapshot().attach > 0 { // edges were given copies: it was for them to say
		any = n.b.allFilters()
	}
	err := n.handOn(n.takers(claims), func(_ *lane.Entry, m *mqtt.Message, copies int) {
		if last && copies == 0 && m != nil && !any.match(m.Topic) {
			lost++
		}
	})
	if err != nil {
		return err
	}
	writes := new(batch.Batch)
	p.settle(claims, writes)
	if err := n.b.cfg.Store.CommitWait(writes); err != nil {
		return err
	}
	if lost > 0 {
		n.b.metrics.dropped(dropNoTaker, lost)
		n.b.cfg.Log.Warn("nobody wants what was queued for a core that lost its memory", "neighbour", n.name, "messages", lost)
	}
	return nil
}

// settle notes that the claims were served.
func (p *past) settle(claims []claim, writes *batch.Batch) {
	for _, c := range claims {
		if c.edge != "" {
			p.n.dropStay(c.edge, writes)
			p.n.update(writes, func(r *record) { r.attach++ })
		}
	}
}

// handOn gives the takers copies of what is queued for the neighbour, in one pass. It calls each for all that is queued; m is nil when it is
// no message, or cannot be read.
func (n *neighbour) handOn(takers []taker, each func(e *lane.Entry, m *mqtt.Message, copies int)) error {
	n.b.handing.Lock() // a core that comes back empty again and again leaves several pasts, and each has what the others have as well
	defer n.b.handing.Unlock()
	for i := range takers {
		var err error
		if takers[i].has, err = copiesIn(takers[i].to.queue); err != nil {
			return err
		}
	}
	for from := uint64(0); ; {
		entries, next, err := n.queue.Read(from)
		if err != nil || len(entries) == 0 {
			return err
		}
		bodies, err := readBodies(n.b, entries) // before anything is written
		if err != nil {
			return err
		}
		writes, handed := new(batch.Batch), 0
		for i := range entries {
			copies, m := n.hand(&entries[i], bodies[i], takers, writes)
			handed += copies
			each(&entries[i], m, copies)
		}
		if err := n.b.cfg.Store.CommitWait(writes); err != nil {
			return err
		}
		n.b.metrics.handedOver.Add(handed)
		from = next
	}
}

// readBodies fetches the bodies of entries; nil = none, or it cannot be read.
func readBodies(b *Bridge, entries []lane.Entry) (bodies [][]byte, err error) {
	var ids []uint64
	var at []int
	for i := range entries {
		if entries[i].ID != 0 {
			ids, at = append(ids, entries[i].ID), append(at, i)
		}
	}
	bodies = make([][]byte, len(entries))
	return bodies, b.bodies(ids, func(i int, body []byte) { bodies[at[i]] = bytes.Clone(body) })
}

// taker is who gets copies in a pass.
type taker struct {
	claim
	to     *neighbour // into whose queue
	toEdge string     // for which edge there
	wants  *filters
	has    map[copied]struct{} // what is in that queue already
}

// copied is a message in a queue, for an edge there.
type copied struct {
	id   uint64
	edge string
}

// copiesIn lists what is in a queue.
func copiesIn(q *lane.Queue) (map[copied]struct{}, error) {
	has := make(map[copied]struct{})
	for from := uint64(0); ; {
		entries, next, err := q.Read(from)
		if err != nil || len(entries) == 0 {
			return has, err
		}
		for i := range entries {
			has[copied{entries[i].ID, entries[i].Edge}] = struct{}{}
		}
		from = next
	}
}

// takers finds them; who is not known any more gets nothing.
func (n *neighbour) takers(claims []claim) (takers []taker) {
	b, wants := n.b, map[*neighbour]*filters{}
	for _, c := range claims {
		t := taker{claim: c, to: c.at, toEdge: c.edge}
		switch {
		case c.edge == "":
			t.to = b.lookup(n.name)
		case c.at == nil:
			t.to, t.toEdge = b.lookup(c.edge), ""
		}
		if t.to == nil {
			continue
		}
		if t.wants = wants[t.to]; t.wants == nil {
			t.wants = new(filters)
			t.wants.add(t.to.wanted())
			wants[t.to] = t.wants
		}
		takers = append(takers, t)
	}
	return takers
}

// hand gives one entry to the takers that want it and do not have it; copies counts both.
func (n *neighbour) hand(e *lane.Entry, body []byte, takers []taker, writes *batch.Batch) (copies int, m *mqtt.Message) {
	if body == nil || e.Kind != frame.ItemMessage {
		return 0, nil
	}
	m, err := decodeMessage(body, n.b.cfg.Now())
	if err != nil {
		return 0, nil
	}
	for _, t := range takers {
		if e.Edge != "" && e.Edge != t.edge || e.Edge == "" && !t.wants.match(m.Topic) || t.to.kin.Load().has(m.Origin.Life) {
			continue
		}
		copies++
		if _, has := t.has[copied{e.ID, t.toEdge}]; has {
			continue
		}
		entry := lane.Entry{ID: e.ID, Size: e.Size, Expires: e.Expires, QoS: e.QoS, Kind: e.Kind, Edge: t.toEdge}
		t.to.queue.Append(entry, writes, func(dst []byte) []byte { return append(dst, body...) })
	}
	return copies, m
}

// filters is a set of filters that many topics are matched against. The zero value is empty.
type filters struct {
	tree topic.Tree[struct{}, struct{}]
}

func (f *filters) add(all []string) {
	for _, filter := range all {
		f.tree.Set(filter, struct{}{}, struct{}{})
	}
}

func (f *filters) match(name string) (found bool) {
	f.tree.Match(name, func(struct{}, struct{}) { found = true })
	return found
}

// allFilters are those of all neighbours.
func (b *Bridge) allFilters() *filters {
	f := new(filters)
	for _, n := range b.all() {
		if n.past.Load() == nil {
			f.add(n.wanted())
		}
	}
	return f
}

// agePast ends the past when nobody is left who may ask for it.
func (n *neighbour) agePast(now time.Time) {
	p, since := n.past.Load(), n.snapshot().moved
	if p.isEnded() {
		n.remove(lane.DropNeighbourGone)
		return
	}
	if now.Sub(later(since, n.b.started)) < n.b.cfg.SettleTime || n.stayCount() > 0 && now.Sub(since) < n.b.cfg.NeighbourExpiry {
		return
	}
	p.mu.Lock()
	begin := !p.ending && !p.busy && len(p.claims) == 0
	p.mu.Unlock()
	if !begin {
		return
	}
	n.takeNothing()
	p.mu.Lock()
	p.ending = true
	p.mu.Unlock()
	p.wake.Ring()
}

// takeNothing takes the neighbour out of the Router.
func (n *neighbour) takeNothing() {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	for filter := range n.wants.All() {
		n.b.cfg.Router.Unsubscribe(n, filter)
	}
	n.wants = interest.Set{}
}
