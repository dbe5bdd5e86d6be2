package lane

import (
	"cmp"
	"slices"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// early is the part of a queue that is sent before it is on disk: the core's acknowledgement says that it is kept there, and
// then nothing need be written here.
//
//	add ──▶ unwritten ── ack ──▶ gone; the publisher is told
//	            │
//	            └─ patience is over, or the link ──▶ pending, as always; ack may still come first
//
// Only QoS 1 goes early: when the node dies before either, the publisher publishes again under another origin, which is a repeat that QoS 1
// allows. See docs/decisions/0007-acknowledged-before-written.md.
type early struct { // guarded by Queue.mu
	allowed  bool      // its owner sends at once, and what it has acknowledged is on stable storage
	promises []promise // in order of position
	written  int       // so many of them, at the front, have been written after all
	watched  bool      // overdue will be called
	rest     time.Time // nothing goes early before
}

// promise is an entry whose receipt waits for the acknowledgement or for the disk, whichever is first.
type promise struct {
	pos   uint64
	r     *mqtt.Receipt
	since time.Time
}

// earlyRest is how long nothing goes early after an acknowledgement that was late: each of these costs its publisher
// the patience and spares nothing.
const earlyRest = time.Second

// AllowEarly permits owner to send entries before they are on disk (decision 7): it sends at once, and what it has
// acknowledged is on stable storage. Until Detach.
func (q *Queue) AllowEarly(owner any) {
	q.mu.Lock()
	q.early.allowed = q.owner == owner
	q.mu.Unlock()
}

// goesEarlyLocked tells whether m need not be written at once: nobody else here writes for it, its publisher repeats it after a crash, and it
// will be on its way in a moment.
func (q *Queue) goesEarlyLocked(m *mqtt.Message, e *Entry, r *mqtt.Receipt) bool {
	switch {
	case !q.early.allowed || q.cfg.Patience == 0 || m.From.Scope != mqtt.ScopeClient:
		return false
	case m.QoS != 1 || e.QoS != 1 || m.Retain || e.Kind != frame.ItemMessage || !r.MayWait():
		return false
	case q.diskOnly || len(q.mem) >= memEntries || len(q.mem)-q.sent >= frame.MaxItems || q.memSize+e.Size > memBytes:
		return false
	}
	return !q.cfg.Now().Before(q.early.rest)
}

// appendEarlyLocked queues e without writing it.
func (q *Queue) appendEarlyLocked(e Entry, r *mqtt.Receipt) {
	q.placeLocked(&e, unwritten)
	e.early, e.Msg = true, e.Msg.Kept()
	r.Hold()
	q.early.promises = append(q.early.promises, promise{e.Pos, r, q.cfg.Now()})
	q.cfg.Early.Inc()
	q.memSize += e.Size
	q.mem = append(q.mem, e)
	q.memTop = e.Pos
	q.watchLocked()
}

// watchLocked sets a timer for the oldest that is not written.
func (q *Queue) watchLocked() {
	if e := &q.early; !e.watched && e.written < len(e.promises) {
		e.watched = true
		wait := q.cfg.Patience - q.cfg.Now().Sub(e.promises[e.written].since)
		time.AfterFunc(wait, q.overdue) // owned by the queue; finds nothing to do after Detach
	}
}

// overdue writes what the neighbour has not acknowledged in time.
func (q *Queue) overdue() {
	q.commits.Lock()
	defer q.commits.Unlock()
	q.mu.Lock()
	e := &q.early
	e.watched = false
	var b *batch.Batch
	if now := q.cfg.Now(); e.written < len(e.promises) && now.Sub(e.promises[e.written].since) >= q.cfg.Patience {
		e.rest = now.Add(earlyRest)
		b = q.writeEarlyLocked()
	}
	q.watchLocked()
	q.mu.Unlock()
	q.commit(b)
}

// writeEarlyLocked puts all that is unwritten into a batch, which the caller commits; nil when there is nothing.
func (q *Queue) writeEarlyLocked() *batch.Batch {
	late := q.early.promises[q.early.written:]
	if len(late) == 0 {
		return nil
	}
	b := new(batch.Batch)
	for _, p := range late {
		e := q.findLocked(p.pos)
		m := e.Msg
		e.state = pending
		q.put(b, e, func(dst []byte) []byte { return mqtt.AppendMessage(dst, m) })
		b.Notify(q, e.Pos)
	}
	q.early.written = len(q.early.promises)
	q.cfg.Late.Add(len(late))
	return b
}

// endEarlyLocked is writeEarlyLocked when nobody sends any more: what is not stable is held back from here on.
func (q *Queue) endEarlyLocked() *batch.Batch {
	b := q.writeEarlyLocked()
	q.early.allowed = false
	for i := range q.mem {
		q.mem[i].early = false
	}
	return b
}

// fulfilLocked takes the promises up to pos out: they are kept. The caller releases them without mu.
func (q *Queue) fulfilLocked(pos uint64) []promise {
	e := &q.early
	n, _ := e.find(pos + 1)
	kept := slices.Clone(e.promises[:n])
	e.remove(0, n)
	return kept
}

// settleLocked takes the promise of pos out, nil when there is none.
func (q *Queue) settleLocked(pos uint64) *mqtt.Receipt {
	e := &q.early
	i, ok := e.find(pos)
	if !ok {
		return nil
	}
	r := e.promises[i].r
	e.remove(i, i+1)
	return r
}

func (e *early) find(pos uint64) (i int, ok bool) {
	return slices.BinarySearchFunc(e.promises, pos, func(p promise, pos uint64) int { return cmp.Compare(p.pos, pos) })
}

func (e *early) remove(from, to int) {
	e.promises = slices.Delete(e.promises, from, to)
	e.written -= max(0, min(e.written, to)-from)
}

func release(kept []promise, err error) {
	for _, p := range kept {
		p.r.Release(err)
	}
}
