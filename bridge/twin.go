package bridge

import (
	"fmt"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
)

// A twin is another node that runs under a neighbour's name, on a folder of its own or on a copy of the neighbour's. Who
// is connected stays; the newcomer waits, with growing delays, as long as the first one is alive:
//
//	newcomer ─ HELLO ─→ core ─ PROBE ─→ the first one ─┬ answers: TWIN to it, GOAWAY "name in use" to the newcomer each time it comes
//	                                                   └ is silent: its link fails, the newcomer gets in when it comes again
//
// A restarted node is no twin: its lives tell that it is a later start of the same folder, and it takes the place of its old
// connection at once. At two cores both stay connected: each core tells its own.

// twin is what is known of a neighbour's twin, or of our own in the neighbour that told us. The neighbour's mu guards it.
type twin struct {
	last  time.Time // when it was seen last
	times int       // how often it was refused
	text  string
	warn  rarely
}

// twinForgotten is how long after it was seen last a twin is no longer one.
const twinForgotten = 15 * time.Minute

func (t *twin) fresh(now time.Time) bool { return !t.last.IsZero() && now.Sub(t.last) < twinForgotten }

// rarely says when something that goes on is worth one more line in the log: at once, then at doubling intervals.
type rarely struct {
	next time.Time
	gap  time.Duration
}

func (r *rarely) due(now time.Time) bool {
	if now.Before(r.next) {
		return false
	}
	r.gap = min(max(2*r.gap, time.Minute), 24*time.Hour)
	r.next = now.Add(r.gap)
	return true
}

// supersedes tells that h is the same node as that of was, come again: over a new connection, or after a restart.
func supersedes(was, h *frame.Hello) bool {
	if was.Store != h.Store {
		return false
	}
	switch lineageOf(was.Lives, h.Lives) {
	case lineageApart, lineageEarlier:
		return false
	}
	return true
}

// contest keeps a newcomer out as long as the node that is connected under its name is alive.
func (n *neighbour) contest(l *link, h frame.Hello) {
	old := n.link.Load()
	now := n.b.cfg.Now()
	n.mu.Lock()
	known := n.twin.fresh(now)
	if !known {
		n.twin = twin{}
	}
	n.twin.times++
	retry := n.b.twinRetry(n.twin.times)
	n.mu.Unlock()
	n.b.metrics.twins.Inc()
	meet := func() { n.meetTwin(h.Store, h.Life(), l.addr) }
	if old != nil && !old.ask(meet) {
		meet()
		known = true
	}
	bye := frame.Goaway{Code: frame.GoawayWait, Retry: retry, Text: "another connection under this name is asked for a sign of life"}
	if known {
		bye.Code, bye.Text = frame.GoawayNameInUse, fmt.Sprintf("name %q is in use by another node", h.Name)
		if was := n.snapshot(); was.store == h.Store {
			bye.Text += ", and both run on copies of one data folder"
		}
	}
	l.fail(fmt.Errorf("refused: %s", bye.Text), &bye)
}

// twinRetry is when a newcomer may come again: soon at first, so that it gets in when the other one turns out to be dead.
func (b *Bridge) twinRetry(times int) time.Duration {
	first, most := min(time.Second, b.cfg.Backoff.Max), 4*b.cfg.Backoff.Max
	return min(first<<min(times-1, 16), most)
}

// meetTwin notes that the neighbour, who is alive, has a twin, and tells it.
func (n *neighbour) meetTwin(store, life uint64, where string) {
	n.noteTwin("two nodes run under one name", n.name, frame.Twin{Store: store, Life: life, Where: where}, n.snapshot().store)
	if l := n.link.Load(); l != nil {
		l.note(frame.KindTwin, frame.Twin{Store: store, Life: life, Where: where}.Append(nil))
	}
}

// noteTwin keeps what is known for the status, and warns at doubling intervals. own is the store id of who has the twin.
func (n *neighbour) noteTwin(what, name string, t frame.Twin, own uint64) {
	text := fmt.Sprintf("store %016x, %s", t.Store, t.Where)
	hint := "give each node a name of its own"
	if t.Store == own {
		text, hint = text+", on a copy of the same data folder", "give each node a name of its own: copies of a data folder are told apart by their names"
	}
	now := n.b.cfg.Now()
	n.mu.Lock()
	if !n.twin.fresh(now) && !n.twin.last.IsZero() {
		n.twin = twin{}
	}
	n.twin.last, n.twin.text = now, text
	warn := n.twin.warn.due(now)
	n.mu.Unlock()
	if warn {
		n.b.cfg.Log.Warn(what, "node", name, "other", text, "hint", hint)
	}
}

// handleTwin hears that another node runs under our name.
func (l *link) handleTwin(body []byte) error {
	f, err := frame.DecodeTwin(body)
	if err == nil {
		l.n.noteTwin("another node runs under this node's name", l.b.cfg.Node, f, l.b.cfg.Store.ID())
	}
	return err
}

// refusedAsTwin hears that another node is connected under our name, where we would be.
func (l *link) refusedAsTwin(text string) {
	n := l.b.lookup(l.expect)
	if l.b.uplink != nil {
		n = l.b.uplink.n
	}
	if n == nil {
		return
	}
	now := l.b.cfg.Now()
	n.mu.Lock()
	n.twin.last, n.twin.text = now, text
	warn := n.twin.warn.due(now)
	n.mu.Unlock()
	if warn {
		l.log.Warn("refused: another node is connected under this node's name", "node", l.b.cfg.Node, "reason", text,
			"hint", "give each node a name of its own")
	}
}

// rival is the news, of a core, that a neighbour is attached there, while it is connected here as well.
type rival struct {
	core *neighbour
	at   frame.EdgeAt
}

// heardOf takes the news that the edge is attached to another core.
//
//	                 edge not connected here        edge connected here
//	news is newer    it has moved                   it has moved; when it may be a twin: ask
//	news is older    answer: "known here"           ask for a sign of life ─┬ comes: a twin, or old news
//	                                                                        └ none: as if it was not connected
//	an answer        as news                        it claims the edge with a higher number, or: a twin
//
// News is of an older time by the attach number, or because lives tell. An edge on an older image counts its attachments from
// there; where the core that it left knows more than the core that it came to, the latter claims it with a number above that.
func (n *neighbour) heardOf(core *neighbour, c frame.EdgeAt, writes *batch.Batch) {
	rec, live := n.snapshot(), n.link.Load()
	n.b.seen.End(c.Lives[min(1, len(c.Lives)):])
	lineage := lineageOf(rec.lives, c.Lives)
	older := rec.store == c.Store && (lineage == lineageEarlier || lineage != lineageLater && c.Attach <= rec.attach)
	switch {
	case live == nil && !older:
		n.movedTo(core.name, c, writes)
	case live == nil && !c.Answer && len(c.Lives) > 0:
		n.answer(core, false, writes)
	case live == nil:
	case c.Answer && c.Live:
		n.meetTwin(c.Store, lifeOf(c.Lives), "at "+core.name)
	case c.Answer:
		n.claimAbove(core, c.Attach, writes)
	case rec.store == c.Store && !older && lineage != lineageApart:
		live.fail(errReplaced, &frame.Goaway{Code: frame.GoawayReplaced, Text: errReplaced.Error()})
		n.movedTo(core.name, c, writes)
	case len(c.Lives) > 0 || !older:
		n.askAbout(live, &rival{core, c})
	}
}

func lifeOf(lives []uint64) uint64 {
	if len(lives) == 0 {
		return 0
	}
	return lives[0]
}

// askAbout finds out which of two cores the edge is at.
func (n *neighbour) askAbout(live *link, r *rival) {
	n.mu.Lock()
	n.rival = r
	n.mu.Unlock()
	there := func() {
		n.mu.Lock()
		mine := n.rival == r
		if mine {
			n.rival = nil
		}
		rec := n.rec
		n.mu.Unlock()
		if mine && (rec.store != r.at.Store || lineageOf(rec.lives, r.at.Lives) != lineageSame) {
			n.meetTwin(r.at.Store, lifeOf(r.at.Lives), "at "+r.core.name)
			if len(r.at.Lives) > 0 { // else that core would take the answer for news
				writes := new(batch.Batch)
				n.answer(r.core, true, writes)
				n.b.cfg.Store.Commit(writes)
			}
		}
	}
	if !live.ask(there) {
		there()
	}
}

// unrivalled is called when the edge is no longer connected here: what was asked about is news now.
func (n *neighbour) unrivalled() {
	n.mu.Lock()
	r := n.rival
	n.rival = nil
	n.mu.Unlock()
	if r == nil {
		return
	}
	writes := new(batch.Batch)
	n.heardOf(r.core, r.at, writes)
	n.b.cfg.Store.Commit(writes)
}

// answer tells a core that said that the edge is there what is known of it here.
func (n *neighbour) answer(core *neighbour, live bool, writes *batch.Batch) {
	rec := n.snapshot()
	c := frame.EdgeAt{Edge: n.name, Store: rec.store, Attach: rec.attach, Answer: true, Live: live, Lives: rec.lives}
	if len(rec.lives) == 0 {
		return // the core would take it for news
	}
	core.queue.AppendControl(c.Append(nil), writes)
}

// claimAbove says once more that the edge is here, in words that a core that knows of attachment number attach believes.
func (n *neighbour) claimAbove(core *neighbour, attach uint64, writes *batch.Batch) {
	n.update(writes, func(r *record) { r.attach = max(r.attach, attach+1) })
	n.b.tellEdge(core, n, writes)
}
