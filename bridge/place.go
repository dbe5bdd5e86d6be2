package bridge

import (
	"slices"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
)

// How an edge goes to another core, because its own has asked it to. The old link stays until the new one is there; so an edge
// that cannot reach the place has lost nothing.
//
//	linked to X ─ MOVE Y ─→ dials Y ─┬ HELLO of Y: Y has the queue, the link to X ends. X hears of it from Y
//	                                 └ no HELLO: MOVE "failed" to X
//
// The place is tried first from then on, also after a restart, until it cannot be reached.

// asked takes the question of the core that l leads to.
func (u *uplink) asked(l *link, f frame.Move) {
	why := u.whyStay(l, f)
	if why == "" && u.b.begin() {
		u.mu.Lock()
		u.next = make(chan outcome, 1)
		next := u.next
		u.mu.Unlock()
		go u.move(l, f, next) // owned by the Bridge, ends with its link, Close waits by running
		return
	}
	l.log.Debug("stays with its core", "asked", f.Name, "reason", why)
	l.note(frame.KindMove, frame.Move{Answer: frame.MoveStays, Name: f.Name, Addr: f.Addr, Text: why}.Append(nil))
}

// whyStay is what is against going; "" = nothing.
func (u *uplink) whyStay(l *link, f frame.Move) string {
	may := slices.ContainsFunc(u.candidates(), func(c frame.Core) bool { return c.Addr == f.Addr })
	u.mu.Lock()
	moving := u.next != nil
	u.mu.Unlock()
	switch {
	case !may:
		return "not one of the cores that it may link to"
	case moving:
		return "is on its way to another core"
	case u.n.link.Load() != l:
		return "is linked to another core"
	case u.n.behind():
		return "messages wait"
	}
	return ""
}

// move links to the core f. When that works, run goes on with the outcome; else the old link does as if nothing had been.
func (u *uplink) move(old *link, f frame.Move, next chan outcome) {
	defer u.b.running.Done()
	tried := false
	o := u.b.attempt(u.b.ctx, f.Name, f.Addr, func() error {
		tried = true
		return u.attachAt(f.Addr)
	})
	if o.up == 0 {
		u.mu.Lock()
		if u.next == next { // else run waits for it already: the old link is over
			u.next = nil
		}
		u.mu.Unlock()
		u.forget(f.Addr)
		answer := frame.Move{Answer: frame.MoveStays, Name: f.Name, Addr: f.Addr, Text: "cannot be reached"}
		if tried {
			answer.Answer = frame.MoveFailed
		}
		if o.err != nil {
			answer.Text = reasonText(o.err)
		}
		old.log.Info("stays with its core: the one that it was asked to link to cannot be reached", "asked", f.Name, "error", answer.Text)
		old.note(frame.KindMove, answer.Append(nil))
	}
	next <- o
}

// follow is called when a link is over that ended as o: it waits for the link that takes its place, if there is one.
func (u *uplink) follow(o outcome) outcome {
	for {
		u.mu.Lock()
		next := u.next
		u.next = nil
		u.mu.Unlock()
		if next == nil {
			return o
		}
		if moved := <-next; moved.up > 0 {
			o = moved
		}
	}
}

// attachAt is attach, and has the place tried first from now on.
func (u *uplink) attachAt(addr string) error {
	writes := new(batch.Batch)
	u.n.update(writes, func(r *record) { r.movedTo = addr })
	u.b.cfg.Store.Commit(writes)
	return u.attach()
}

// forget has no place tried first, if it was that one.
func (u *uplink) forget(addr string) {
	if u.n.snapshot().movedTo != addr {
		return
	}
	writes := new(batch.Batch)
	u.n.update(writes, func(r *record) { r.movedTo = "" })
	u.b.cfg.Store.Commit(writes)
}

// placeFirst puts the place that the edge was asked to go to before the others, unless it is suspected.
func (u *uplink) placeFirst(order []frame.Core) []frame.Core {
	place := u.n.snapshot().movedTo
	i := slices.IndexFunc(order, func(c frame.Core) bool { return c.Addr == place && !c.Suspect })
	if place == "" || i <= 0 {
		return order
	}
	first := order[i]
	return slices.Insert(slices.Delete(order, i, i+1), 0, first)
}
