package bridge

import (
	"sync"
	"sync/atomic"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/reconcile"
	"mangrove/internal/batch"
	"mangrove/internal/hlc"
	"mangrove/mqtt"
)

// healing is a link's part in comparing what is retained at both ends (package reconcile), and in bringing the older up to date.
//
//	in doubt ─ nothing on its way for a moment ─→ talking: turn, turn, … ─→ agreed ─ something may differ ─→ in doubt
//	                                                  │ what the other side wants
//	                                                  └→ durable queue, as healed messages
//
// A link begins in doubt. Who dialled begins to talk; the other side asks it to. The link's run talks; the connection's goroutine brings
// what it hears; Bridge.heal looks once a second who is to begin.
type healing struct {
	act atomic.Bool // run has something to do

	mu     sync.Mutex
	on     bool            // both ends understand it, and the link is up
	doubt  time.Time       // since when the ends may differ; zero = they agree, as far as is known
	asked  time.Time       // when the other side was asked to begin
	heard  *frame.Retained // to be answered
	tell   bool            // the other side is to hear what the clock shows
	moment time.Time       // of heard, or of the last turn
	active bool            // a conversation is under way

	talk    *reconcile.Talk  // run only
	index   *reconcile.Index // run only
	changes uint64           // run only: Retained.Changes before index was made
	send    []uint64         // run only: topics that the other side wants, still to be queued
	sent    int              // run only: how many were, in this conversation
	turn    int              // run only: bytes that the next turn may have
}

const (
	healWait    = 15 * time.Second // how long a link that is never idle puts a conversation off
	healBacklog = 256              // messages waiting above which it is put off further, and no more healed ones are queued
	healSilence = 2 * time.Minute  // after which a conversation is given up
	askEvery    = 10               // HealQuiets between two times that the other side is asked to begin

	talkBytes = 4 << 10  // of one turn, to and from edges: their lines may be thin
	coreBytes = 32 << 10 // between cores
)

// features is what this node understands.
func (b *Bridge) features() frame.Features {
	f := frame.FeatureFragments | frame.FeatureLinkForm2 | frame.FeatureSummary | frame.FeatureSpread
	if b.cfg.Role == RoleCore {
		f |= frame.FeatureRelay | frame.FeaturePresence
	}
	if b.cfg.Retained != nil {
		f |= frame.FeatureReconcile
	}
	return f
}

// mayHeal tells whether both ends compare retained messages.
func (l *link) mayHeal() bool {
	return l.b.cfg.Retained != nil && l.theirs.Features.Has(frame.FeatureReconcile)
}

// form is how messages are written to the other side.
func (l *link) form() mqtt.LinkForm {
	if l.theirs.Features.Has(frame.FeatureLinkForm2) {
		return mqtt.LinkForm2
	}
	return mqtt.LinkForm1
}

// startHealing is called when the link is up.
func (l *link) startHealing() {
	if !l.mayHeal() {
		return
	}
	l.healing.mu.Lock()
	defer l.healing.mu.Unlock()
	l.healing.on, l.healing.doubt = true, l.b.cfg.Now()
}

// doubt notes that what is retained here and at n may differ.
func (n *neighbour) doubt() {
	if l := n.link.Load(); l != nil {
		l.healing.mu.Lock()
		defer l.healing.mu.Unlock()
		l.healing.doubt = l.b.cfg.Now()
	}
}

// doubtOthers notes that for whom else m, which came from n, may be news: for all other cores; and for the edge that published it, which
// is not sent it, and may hold a clearing that nobody else remembers.
func (b *Bridge) doubtOthers(n *neighbour, m *mqtt.Message) {
	for _, other := range b.all() {
		switch {
		case other == n || other.past.Load() != nil:
		case other.scope == mqtt.ScopePeer:
			other.doubt()
		case other.scope == mqtt.ScopeEdge && other.kin.Load().has(m.Origin.Life):
			b.holders.add(reconcile.KeyOf(m.Topic), other)
			other.doubt()
		}
	}
}

// heal looks after the links' conversations, until ctx ends.
func (b *Bridge) heal() {
	defer b.running.Done()
	ticker := time.NewTicker(b.cfg.HealQuiet)
	defer ticker.Stop()
	steady, shown, changes := time.Now(), b.cfg.Retained.Clock(), uint64(0)
	for rounds := 0; ; rounds++ {
		select {
		case <-b.ctx.Done():
			return
		case <-ticker.C:
		}
		jumped := b.clockJumped(&steady, &shown)
		for _, n := range b.all() {
			if l := n.link.Load(); l != nil {
				waiting, _ := n.queue.Backlog()
				l.lookAfterHealing(waiting, b.cfg.Now(), jumped)
			}
		}
		b.snapshots.forget(b.cfg.Now())
		if rounds%10 == 9 && b.uplink != nil {
			b.lookAgain(&changes)
		}
		if rounds%600 == 599 {
			b.pruneHolders()
		}
	}
}

// clockJumped tells whether the clock has been set since the last look.
func (b *Bridge) clockJumped(steady *time.Time, shown *int64) bool {
	now, shows := time.Now(), b.cfg.Retained.Clock()
	off := time.Duration(shows-*shown)*time.Millisecond - now.Sub(*steady)
	*steady, *shown = now, shows
	return off.Abs() > 2*time.Second
}

// lookAfterHealing wakes run when there is something to do; waiting is how many messages the other side is owed.
func (l *link) lookAfterHealing(waiting int, now time.Time, jumped bool) {
	h := &l.healing
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on {
		return
	}
	h.tell = h.tell || jumped
	act := h.tell
	switch {
	case h.heard != nil:
		act = act || !h.heard.First || calm(waiting, now.Sub(h.moment))
	case h.active:
		if now.Sub(h.moment) > healSilence {
			h.active, h.doubt = false, now
		}
	case !h.doubt.IsZero() && now.Sub(h.doubt) >= l.b.cfg.HealQuiet && now.Sub(h.asked) >= askEvery*l.b.cfg.HealQuiet:
		act = act || calm(waiting, now.Sub(h.doubt))
	}
	if act {
		h.act.Store(true)
		l.kick()
	}
}

// calm tells whether a conversation may begin that has been due for so long: what is on its way would look like a difference.
func calm(waiting int, due time.Duration) bool {
	return waiting == 0 || due >= healWait && waiting < healBacklog
}

// handleRetained takes a turn of the other side.
func (l *link) handleRetained(body []byte) error {
	f, err := frame.DecodeRetained(body)
	if err != nil {
		return err
	}
	if !l.mayHeal() {
		return nil
	}
	l.hearClock(f.Clock)
	now := l.b.cfg.Now()
	h := &l.healing
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case f.Ask:
		h.doubt = now
	case f.Tell:
	case f.First || h.active:
		h.heard, h.moment = &f, now
		if !f.First {
			h.act.Store(true)
			l.kick()
		}
	}
	return nil
}

// hearClock goes by what the other side's clock shows, if that may be: an edge's only where this core has none.
func (l *link) hearClock(milli int64) {
	if milli == 0 || l.b.cfg.Retained == nil {
		return
	}
	shows, near := l.b.cfg.Retained.Clock(), true
	if l.n.scope != mqtt.ScopeEdge || shows < hlc.Unset {
		near = l.b.cfg.Retained.Hear(milli, l.n.scope == mqtt.ScopeUplink)
	} else {
		near = milli <= shows+hlc.Ahead.Milliseconds()
	}
	if near {
		l.n.ahead.Store(false)
	} else if !l.n.ahead.Swap(true) {
		l.log.Warn("the neighbour's clock is far ahead of this node's: its time is not gone by, and what is published there stays the newest "+
			"of its topics until it is replaced", "clock", time.UnixMilli(milli), "here", time.UnixMilli(l.b.cfg.Retained.Clock()),
			"followed up to", hlc.Ahead)
	}
}

// converse sends one turn of about room bytes at most, if one is due.
func (l *link) converse(room int) (sent bool, err error) {
	l.healing.turn = min(room, l.turnBytes())
	h := &l.healing
	if l.n.scope == mqtt.ScopeUplink {
		l.b.letGo(l.follower)
	}
	if len(h.send) > 0 {
		return l.queueHealed(), nil
	}
	if !h.act.Swap(false) {
		return false, nil
	}
	now := l.b.cfg.Now()
	h.mu.Lock()
	heard, due, tell, began := h.heard, h.doubt, h.tell, h.moment
	h.tell = false
	h.mu.Unlock()
	switch {
	case tell:
		h.act.Store(true) // for what else there is
		return true, l.sendRetained(frame.Retained{Tell: true})
	case heard != nil:
		return l.answer(heard, began)
	case due.IsZero() || h.active:
		return false, nil
	case !l.dialled:
		h.mu.Lock()
		h.asked, h.doubt = now, time.Time{}
		h.mu.Unlock()
		return true, l.sendRetained(frame.Retained{Ask: true})
	}
	return l.beginTalk(due)
}

// beginTalk sends the first turn.
func (l *link) beginTalk(due time.Time) (sent bool, err error) {
	if !l.newTalk(due) {
		return false, nil // looked after again in a second
	}
	h := &l.healing
	h.talk.Start()
	h.mu.Lock()
	h.active, h.moment = true, l.b.cfg.Now()
	if h.doubt.Equal(due) {
		h.doubt = time.Time{}
	}
	h.mu.Unlock()
	l.b.metrics.compared.Inc()
	return true, l.sendRetained(frame.Retained{First: true, Parts: h.talk.Say(h.turn)})
}

// newTalk prepares a conversation about what is held, changes up to after included; false = later.
func (l *link) newTalk(after time.Time) bool {
	x, changes := l.b.snapshots.get(l.b, after)
	if x == nil {
		return false
	}
	h := &l.healing
	h.index, h.changes, h.sent = x, changes, 0
	h.talk = reconcile.NewTalk(l.b.concerns(l.n, x), l.b.cfg.Retained.Room)
	return true
}

// answer takes what was heard. The next turn is sent when all that is wanted has been queued.
func (l *link) answer(f *frame.Retained, began time.Time) (sent bool, err error) {
	h := &l.healing
	if f.First && !l.newTalk(began) {
		return false, nil
	}
	h.mu.Lock()
	h.heard, h.active, h.moment = nil, true, l.b.cfg.Now()
	h.mu.Unlock()
	if h.talk == nil {
		return false, nil
	}
	send, mine := h.talk.Take(f.Parts)
	if l.n.scope == mqtt.ScopeEdge {
		l.noteHolder(mine)
	}
	if h.send = send; len(send) > 0 {
		return l.queueHealed(), nil
	}
	return l.nextTurn()
}

// noteHolder notes that the edge holds topics, and looks again when one that was not known to be held may have changed since the
// conversation began: the edge was not told.
func (l *link) noteHolder(keys []uint64) {
	learnt := false
	for _, key := range keys {
		learnt = l.b.holders.add(key, l.n) || learnt
	}
	if learnt && l.b.cfg.Retained.Changes() != l.healing.changes {
		l.n.doubt()
	}
}

// nextTurn says what is to be said next, if anything.
func (l *link) nextTurn() (sent bool, err error) {
	h := &l.healing
	if h.talk.Over() {
		l.endTalk()
		return false, nil
	}
	parts := h.talk.Say(h.turn)
	over := h.talk.Over()
	if err := l.sendRetained(frame.Retained{Parts: parts}); err != nil {
		return false, err
	}
	if over {
		l.endTalk()
	}
	return true, nil
}

func (l *link) endTalk() {
	h := &l.healing
	if h.sent > 0 {
		l.log.Info("retained messages were brought up to date", "neighbour", l.n.name, "messages", h.sent)
	}
	h.talk, h.index, h.sent = nil, nil, 0
	h.mu.Lock()
	h.active = false
	h.mu.Unlock()
}

// queueHealed queues some of what the other side wants. It returns false when the queue is to get shorter first: acknowledgements wake run.
func (l *link) queueHealed() (more bool) {
	h := &l.healing
	waiting, _ := l.n.queue.Backlog()
	n := min(healBacklog-waiting, len(h.send))
	if n <= 0 {
		return false
	}
	writes := new(batch.Batch)
	for _, key := range h.send[:n] {
		name := h.index.Topic(key)
		if name == "" || !l.b.goesUp(name) {
			continue
		}
		r := mqtt.NewReceipt(writes, nil)
		l.n.queue.AddFresh(func() *mqtt.Message { return l.b.newest(name) }, 2, frame.ItemHealed, r)
		r.Close()
		h.sent++
	}
	l.b.cfg.Store.Commit(writes)
	h.mu.Lock()
	h.moment = l.b.cfg.Now()
	h.mu.Unlock()
	if h.send = h.send[n:]; len(h.send) > 0 {
		return true
	}
	if _, err := l.nextTurn(); err != nil {
		l.fail(err, nil)
	}
	return true
}

func (l *link) sendRetained(f frame.Retained) error {
	f.Clock = l.b.cfg.Retained.Clock()
	return l.sendOnLine(frame.KindRetained, f.Append(nil), 0)
}

func (l *link) turnBytes() int {
	if l.n.scope == mqtt.ScopePeer {
		return coreBytes
	}
	return talkBytes
}

// takeHealed takes a retained message, or a clearing, that the other side holds and this node has older or not at all. One that was
// published here before is kept, and not published again.
func (l *link) takeHealed(m *mqtt.Message, in *inbound, writes *batch.Batch) (refused error) {
	b := l.b
	if m.Healed = true; b.cfg.Retained == nil || !b.cfg.Retained.Wants(m.Topic, mqtt.VersionOf(m)) {
		l.repeated()
		return nil
	}
	b.metrics.healed.Inc()
	b.doubtOthers(l.n, m)
	if !b.seen.Mark(m.Origin, &in.touched, writes) {
		m.ID = b.cfg.Store.NextID()
		r := in.receipt(writes)
		b.cfg.Retained.Set(m, r.Receipt)
		in.slack = min(in.slack, r.Slack())
		r.Close()
		return nil
	}
	return l.publish(m, in, writes)
}
