package lane

import (
	"fmt"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/overflow"
	"mangrove/mqtt"
)

// What happens at the queue's bound:
//
//	drop-oldest ── taken, up to overflow.Slack above the bound; giveWay removes the oldest
//	refuse ─────┬─ from a client here ── its publisher is told; an edge's uplink does so only when nobody here took it
//	            └─ from a link ───────── parked: the queue takes it, up to twice its bound, so that the link goes on
//	drop-new ───── counted
//
// Before any of it a queue in which something may have expired is looked through. giveWay runs by itself, one at a time: it
// takes what is in memory and not on the way, then what is on disk, a step at a time while nobody reads pages (paging).

// bound is the part of a queue that is about its bound. Guarded by Queue.mu.
type bound struct {
	running bool      // giveWay is called, or will be
	gives   bool      // the queue is above its bound, and the oldest give way
	soonest int64     // no message expires before it, in stored time; 0 = none does
	rest    time.Time // no sweep before
	sweep   *cut      // the last step of a sweep that goes on; nil = none does
	passed  uint64    // what is on disk only and before it does not give way
	ages    overflow.Ages
	spell   overflow.Spell
	dropped uint64 // at the bound, since the node began
	refused uint64
}

func (q *Queue) fullLocked(size int) bool {
	return q.messages >= q.cfg.MaxMessages || q.messages > 0 && q.bytes+size > q.cfg.MaxBytes
}

func (q *Queue) overLocked() bool {
	return q.messages > q.cfg.MaxMessages || q.messages > 1 && q.bytes > q.cfg.MaxBytes
}

// beyondLocked reports whether one more message leaves the queue further above its bounds than that.
func (q *Queue) beyondLocked(size, messages, bytes int) bool {
	return q.messages-q.cfg.MaxMessages >= messages || q.bytes-q.cfg.MaxBytes >= bytes-size
}

// admitsLocked does what was configured for a queue at its bound; it reports whether m is to be queued all the same. [promise P6]
func (q *Queue) admitsLocked(m *mqtt.Message, size int, r *mqtt.Receipt) bool {
	messages, bytes := overflow.Slack(q.cfg.MaxMessages, overflow.SlackMessages), overflow.Slack(q.cfg.MaxBytes, overflow.SlackBytes)
	switch policy := q.cfg.WhenFull.Of(m.Topic); {
	case policy == overflow.DropOldest && !q.beyondLocked(size, messages, bytes):
		q.bound.gives = true
		q.makeRoomLocked()
		return true
	case policy != overflow.DropOldest && q.sweepsLocked() && !q.beyondLocked(size, messages, bytes):
		q.makeRoomLocked()
		return true
	case policy == overflow.Refuse && m.From.Scope&linkScopes != 0:
		return q.parksLocked(size)
	case policy == overflow.Refuse && (!q.cfg.Spares || r.Taken() < 2):
		q.noteLocked(0, 1, 0, policy)
		r.Refuse(mqtt.ErrQuota)
	default:
		q.cfg.Dropped(DropQueueFull, 1)
		q.noteLocked(1, 0, 0, policy)
	}
	return false
}

const linkScopes = mqtt.ScopeEdge | mqtt.ScopePeer | mqtt.ScopeUplink

// parksLocked reports whether a message from a link is taken above the bound of a queue that refuses.
func (q *Queue) parksLocked(size int) bool {
	if q.beyondLocked(size, q.cfg.MaxMessages, q.cfg.MaxBytes) {
		q.cfg.Dropped(DropParkingFull, 1)
		q.noteLocked(1, 0, 0, overflow.Refuse)
		return false
	}
	q.cfg.Parked.Inc()
	q.noteLocked(0, 0, 1, overflow.Refuse)
	return true
}

// makeRoomLocked has giveWay called.
func (q *Queue) makeRoomLocked() {
	if !q.bound.running {
		q.bound.running = true
		time.AfterFunc(0, q.giveWay) // owned by the queue; finds nothing to do after Close, and ends when the store is closed
	}
}

// cut is one step of removing messages that are not on the way.
type cut struct {
	expired   bool // those that have expired, else the oldest
	all       bool // every message, but for spare and those behind until: see Purge and Reduce
	spare     map[uint64]struct{}
	until     uint64
	now       int64
	most      int // of the oldest: so many are to go, and so many bytes
	mostBytes int
	b         *batch.Batch
	from, to  uint64 // on disk
	n, bytes  int    // found there
	next      uint64 // where it was not looked at yet; 0 = it was to its end
	least     int64  // the first deadline among those left
	began     time.Time
}

// cutStep is how many records one step reads.
const cutStep = 4096

func (q *Queue) giveWay() {
	for q.giveWayOnce() {
	}
}

// giveWayOnce does one step, and reports whether there may be more to do.
func (q *Queue) giveWayOnce() (more bool) {
	q.paging.Lock()
	defer q.paging.Unlock()
	c := q.nextCut()
	if c == nil {
		return false
	}
	err := q.cutDisk(c)
	if err == nil && !c.b.Empty() {
		err = q.st.CommitWait(c.b) // before a page is read again; the lock of mu is not held
	}
	return q.cutDone(c, err)
}

// nextCut prepares a step and does its part in memory; nil = there is nothing to do, or nothing can be done now.
func (q *Queue) nextCut() *cut {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.planLocked(); c != nil {
		return c
	}
	q.bound.running = false
	return nil
}

func (q *Queue) planLocked() *cut {
	x := &q.bound
	c := &cut{b: new(batch.Batch), now: q.st.Stamp(q.cfg.Now()), began: q.cfg.Now()}
	c.b.SetSlack(batch.Unsynced) // what comes back after a power cut is a repeat, or a message more
	disk, some := true, false
	switch {
	case q.closed:
		return nil
	case x.sweep != nil:
		c.expired, c.from, c.least, c.began = true, x.sweep.next, x.sweep.least, x.sweep.began
	case q.sweepsLocked():
		c.expired, x.soonest = true, 0
		q.sweepMemoryLocked(c)
	case !x.gives || !q.overLocked():
		x.gives = false
		return nil
	default:
		disk, some = q.dropMemoryLocked(c)
		c.from, c.most, c.mostBytes = x.passed, q.messages-q.cfg.MaxMessages, q.bytes-q.cfg.MaxBytes
	}
	if q.diskOnly && disk && (c.expired || q.overLocked()) {
		c.from, c.to = max(q.memTop+1, c.from), q.last+1
		if len(q.behind) > 0 {
			c.to = q.behind[0].pos
		}
	}
	if !c.expired && !some && c.from >= c.to {
		return nil
	}
	return c
}

// sweepsLocked reports whether something may have expired, and it is time to look.
func (q *Queue) sweepsLocked() bool {
	x := &q.bound
	now := q.cfg.Now()
	return x.sweep != nil || x.soonest != 0 && x.soonest <= q.st.Stamp(now) && !now.Before(x.rest)
}

// sweepMemoryLocked drops what has expired in memory and is not on the way.
func (q *Queue) sweepMemoryLocked(c *cut) {
	n := 0
	for i := range q.mem {
		e := &q.mem[i]
		switch {
		case e.state == dead || e.Expires == 0:
		case i >= q.sent && e.state == ready && e.Expires <= c.now:
			q.Delete(e, c.b)
			q.killLocked(e)
			n++
		default:
			c.least = earlier(c.least, max(e.Expires, c.now+1))
		}
	}
	if len(q.behind) > 0 {
		c.least = earlier(c.least, c.now+1) // those are not looked at
	}
	if n > 0 {
		q.cfg.Dropped(DropExpired, n)
	}
	q.trimFrontLocked()
}

// earlier is the smaller of two deadlines; 0 = none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// dropMemoryLocked drops the oldest that are in memory and not on the way, until the queue is at its bound. disk reports that what
// is on disk is next, some that there were any.
func (q *Queue) dropMemoryLocked(c *cut) (disk, some bool) {
	n := 0
	disk = true
	for i := q.sent; i < len(q.mem) && q.overLocked() && disk; i++ {
		switch e := &q.mem[i]; {
		case e.state == dead || !e.gives():
		case e.state != ready:
			disk = false // its batch is under way: a moment later
		default:
			q.Delete(e, c.b)
			q.killLocked(e)
			n++
		}
	}
	if n > 0 {
		q.cfg.Dropped(DropQueueFull, n)
		q.noteLocked(n, 0, 0, overflow.DropOldest)
	}
	q.trimFrontLocked()
	return disk, n > 0
}

// gives reports whether e may give way to later messages.
func (e *Entry) gives() bool { return e.Kind != frame.ItemControl && !e.Keeps }

// cutDisk finds what is to go from disk, and writes its removal into the step's batch.
func (q *Queue) cutDisk(c *cut) error {
	if c.from >= c.to {
		return nil
	}
	seen := 0
	var first, last uint64 // of a run that goes as one range
	flush := func() {
		if first != 0 {
			c.b.DeleteRange(batch.LinkQueues, q.key(first), q.key(last+1))
		}
		first = 0
	}
	err := q.st.Scan(batch.LinkQueues, q.key(c.from), q.key(c.to), func(k, v []byte) bool {
		e, err := q.decode(k, v)
		if seen++; seen > cutStep || c.enough() {
			c.next = e.Pos
			return false
		}
		if err != nil || !c.takes(&e) { // what is damaged is Refill's to count
			flush()
			return true
		}
		c.n++
		c.bytes += e.Size
		if last = e.Pos; first == 0 {
			first = last
		}
		return true
	})
	flush()
	if err != nil {
		return fmt.Errorf("read link queue: %w", err)
	}
	return nil
}

func (c *cut) enough() bool { return !c.expired && c.n >= c.most && c.bytes >= c.mostBytes }

func (c *cut) takes(e *Entry) bool {
	if c.all {
		_, spared := c.spare[e.Pos]
		return e.Kind != frame.ItemControl && !spared && e.Pos <= c.until
	}
	if !c.expired {
		return e.gives()
	}
	if e.Expires > c.now {
		c.least = earlier(c.least, e.Expires)
	}
	return e.Expires != 0 && e.Expires <= c.now
}

// cutDone counts what a step has removed, and reports whether there may be more to do.
func (q *Queue) cutDone(c *cut, err error) (more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	x := &q.bound
	if err != nil {
		x.running, x.sweep = false, nil
		x.rest, x.soonest = q.cfg.Now().Add(sweepPause), earlier(x.soonest, c.now)
		q.cfg.Log.Error("remove messages of a full queue", "neighbour", q.cfg.Name, "error", err)
		return false
	}
	q.messages -= c.n
	q.bytes -= c.bytes
	switch {
	case c.expired:
		q.sweptLocked(c)
	case c.next != 0:
		x.passed = c.next
	default:
		x.passed = max(x.passed, c.to)
	}
	if c.n > 0 && !c.expired {
		q.cfg.Dropped(DropQueueFull, c.n)
		q.noteLocked(c.n, 0, 0, overflow.DropOldest)
	}
	q.calmLocked()
	return true
}

// sweepPause is how long at least a queue is not swept again, and it rests ten times as long as the sweep took.
const sweepPause = time.Second

func (q *Queue) sweptLocked(c *cut) {
	x := &q.bound
	if c.n > 0 {
		q.cfg.Dropped(DropExpired, c.n)
	}
	if x.sweep = nil; c.next != 0 {
		x.sweep = c
		return
	}
	now := q.cfg.Now()
	x.rest = now.Add(max(sweepPause, 10*now.Sub(c.began)))
	x.soonest = earlier(x.soonest, c.least)
}

// noteLocked notes what the bound has cost, and tells the operator when it is time.
func (q *Queue) noteLocked(dropped, refused, parked int, policy overflow.Policy) {
	x := &q.bound
	x.dropped += uint64(dropped)
	x.refused += uint64(refused)
	if now := q.cfg.Now(); x.spell.Note(now, dropped, refused, parked) {
		x.spell.Warn(q.cfg.Log, q.reportLocked(policy, now))
	}
}

func (q *Queue) reportLocked(policy overflow.Policy, now time.Time) overflow.Queue {
	age, _ := q.bound.ages.Of(q.firstLocked(), now)
	return overflow.Queue{Kind: "neighbour", Name: q.cfg.Name, Messages: q.messages, Bytes: int64(q.bytes), Oldest: age, Policy: policy}
}

// firstLocked is where the queue begins: positions before it are gone.
func (q *Queue) firstLocked() uint64 {
	if len(q.mem) > 0 {
		return q.mem[0].Pos
	}
	return q.memTop + 1
}

// calmLocked ends the spell when an eighth of the queue is free.
func (q *Queue) calmLocked() {
	if !q.bound.spell.Full() {
		return
	}
	most, bytes := q.cfg.MaxMessages, q.cfg.MaxBytes
	if q.messages == 0 || q.messages <= most-max(1, most/8) && q.bytes <= bytes-bytes/8 {
		now := q.cfg.Now()
		q.bound.spell.End().Report(q.cfg.Log, q.reportLocked("", now), now)
	}
}

// Full is how a queue stands at its bound.
type Full struct {
	Spell            overflow.Spell // the zero value while there is room
	Dropped, Refused uint64         // at the bound, since the node began
	Oldest           time.Duration  // age of the oldest message, at most; 0 = not known
}

// Full tells how things stand at the bound.
func (q *Queue) Full() Full {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := Full{Spell: q.bound.spell, Dropped: q.bound.dropped, Refused: q.bound.refused}
	if q.messages > 0 {
		f.Oldest, _ = q.bound.ages.Of(q.firstLocked(), q.cfg.Now())
	}
	return f
}
