package session

import (
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/overflow"
)

// cut is one step of removing records from the tail, unsent: the oldest above the bound, or those
// that expired. One at a time; the tail is not read meanwhile.
type cut struct {
	why       outcome
	most      int   // of a trim: so many are to go,
	mostBytes int64 // and so many bytes
	n         int
	bytes     int64
	passed    uint64 // of a trim: nothing before it is left that gives way

	next  uint64 // where the tail was not looked at yet; 0 = it was to its end
	least int64  // the first expiry among those left, in stored time; 0 = none
}

// cutStep is how many records one step reads.
const cutStep = 4096

// trim drops the oldest unsent messages of a queue above its bound, after those that have expired. Runs on a worker.
func (s *Session) trim() {
	s.lock()
	t := s.wakeLocked()
	if t.out.cutting { // its end asks for another trim
		s.unlock()
		return
	}
	if s.sweepsFirstLocked() {
		s.beginSweepLocked()
		s.unlock()
		s.sweep() // likewise
		return
	}
	n, bytes := s.excessLocked()
	for t.trims && (n > 0 || bytes > 0) && t.out.dropOldest(locked{s}) {
		s.noteLocked(1, 0, 0, overflow.DropOldest)
		n, bytes = s.excessLocked()
	}
	t.trims = t.trims && (n > 0 || bytes > 0)
	inTail := t.trims && t.out.unsent() == 0 // else what is newer would go first
	passed := t.passed
	s.unlock()
	if inTail {
		c := &cut{why: dropQueueFull, most: n, mostBytes: bytes}
		s.cutTail(c, passed, func(q *queueRecord) bool { return !q.keeps })
	}
}

// sweepRest is for each message of a queue the time until a full queue is swept again: some ten times as long as that takes.
const sweepRest = 50 * time.Microsecond

// sweepsFirstLocked reports whether something in the tail may have expired, and it is time to look, or is being done.
func (s *Session) sweepsFirstLocked() bool {
	t := s.traffic
	if t != nil && (t.looking || t.sweeping != nil || t.cut != nil && t.cut.why == dropExpired) {
		return true
	}
	if t == nil || t.soonest == 0 || t.out.tail == 0 || t.soonest > s.m.stored.Stamp(s.m.cfg.Now()) {
		return false
	}
	rest := min(s.m.cfg.SweepEvery, time.Second+time.Duration(t.out.tail)*sweepRest)
	return s.m.clock() >= t.swept+rest || t.swept == t.began
}

// beginSweepLocked notes that a sweep begins, unless one goes on.
func (s *Session) beginSweepLocked() {
	if t := s.traffic; t.sweeping == nil {
		t.swept = s.m.clock()
	}
}

// sweepsMemoryLocked drops what has expired of a full queue in memory, when it is time to look, and reports whether it did.
func (s *Session) sweepsMemoryLocked() bool {
	t := s.traffic
	if s.durable() || t.soonest == 0 || t.soonest > s.m.stored.Stamp(s.m.cfg.Now()) {
		return false
	}
	if rest := min(s.m.cfg.SweepEvery, time.Duration(t.out.count)*memoryRest); s.m.clock() < t.swept+rest && t.swept != t.began {
		return false
	}
	s.sweepMemoryLocked()
	return true
}

// memoryRest is sweepRest for a queue in memory.
const memoryRest = time.Microsecond

// sweepMemoryLocked drops what has expired of a queue in memory, and notes when the next sweep can find something. [MQTT-3.3.2-5]
func (s *Session) sweepMemoryLocked() {
	t := s.traffic
	t.swept = s.m.clock()
	t.soonest = t.out.sweep(s.m.stored.Stamp(s.m.cfg.Now()), locked{s})
	s.armLocked()
}

// sweep drops expired messages of the tail, and goes on where the step before it stopped. Runs on a
// worker. [MQTT-3.3.2-5]
func (s *Session) sweep() {
	now := s.m.stored.Stamp(s.m.cfg.Now())
	s.lock()
	t := s.wakeLocked()
	if !s.durable() {
		s.sweepMemoryLocked()
		s.unlock()
		return
	}
	c := &cut{why: dropExpired}
	from := uint64(0)
	due := t.soonest != 0 && t.soonest <= now
	if t.sweeping != nil {
		due, from, c.least = true, t.sweeping.next, t.sweeping.least
	} else if due {
		t.soonest = 0 // what comes from here on notes itself; what is left notes sweptLocked
	}
	t.sweeping, t.looking = nil, due
	if len(t.out.pending) > 0 {
		c.least = earlier(c.least, now+1) // those are not looked at
	}
	s.unlock()
	if !due {
		return
	}
	may := s.cutTail(c, from, func(q *queueRecord) bool { return c.expired(q, now) })
	s.lock()
	defer s.unlock()
	s.wakeLocked().looking = false
	if !may {
		s.sweepAgainLocked(now)
	}
}

// sweepAgainLocked has a sweep begin anew, SweepEvery after the last one.
func (s *Session) sweepAgainLocked(at int64) {
	t := s.wakeLocked()
	if t.soonest = earlier(t.soonest, at); t.out.tail == 0 {
		t.soonest = 0
	}
	s.armLocked()
}

// earlier is the smaller of two times in stored time; 0 = none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (c *cut) expired(q *queueRecord, now int64) bool {
	if q.expires > now {
		c.least = earlier(c.least, q.expires)
	}
	return q.expires != 0 && q.expires <= now
}

// enough reports whether a trim has what it wants.
func (c *cut) enough() bool { return c.why == dropQueueFull && c.n >= c.most && c.bytes >= c.mostBytes }

// seqRun removes records that follow one another as one range.
type seqRun struct {
	b           *batch.Batch
	number      uint64
	first, last uint64 // 0 = none
}

func (r *seqRun) add(seq uint64) {
	if r.first == 0 {
		r.first = seq
	}
	r.last = seq
}

// end writes the run, and begins another.
func (r *seqRun) end() {
	switch {
	case r.first == 0:
	case r.first == r.last:
		r.b.Delete(batch.Queues, queueKey(r.number, r.first))
	default:
		r.b.DeleteRange(batch.Queues, queueKey(r.number, r.first), queueKey(r.number, r.last+1))
	}
	r.first, r.last = 0, 0
}

// cutTail removes the records that pick wants from one step of the tail, at or after least. ok is false
// when the tail cannot be cut now.
func (s *Session) cutTail(c *cut, least uint64, pick func(*queueRecord) bool) (ok bool) {
	s.lock()
	o := &s.wakeLocked().out
	from, to := o.readable()
	from = max(from, least)
	number, rule := s.number, o.rule()
	may := !s.ended && !o.cutting && o.tail > 0 && from < to
	o.cutting = o.cutting || may
	s.unlock()
	if !may {
		return false
	}
	b := s.m.cfg.Store.NewBatch()
	run := &seqRun{b: b, number: number}
	seen := 0
	err := s.m.scanQueue(number, from, to, func(seq uint64, q *queueRecord) bool {
		if seen++; seen > cutStep || c.enough() {
			c.next = seq
			return false
		}
		if rule.removable(seq, q.qos) && pick(q) {
			c.n++
			c.bytes += int64(q.size)
			run.add(seq)
		} else {
			run.end()
		}
		c.passed = seq + 1
		return true
	})
	run.end()
	b.SetSlack(batch.Unsynced) // what comes back after a power cut is a message more
	s.lock()
	defer s.unlock()
	if s.ended {
		return true // discard sees to all of it
	}
	s.traffic.cut = c
	if err != nil || c.n == 0 {
		s.cutLocked(err)
		return true
	}
	b.Notify(s, kindCut)
	s.traffic.batch = b
	return true
}

// cutLocked tells what became of the step.
func (s *Session) cutLocked(err error) {
	t := s.traffic
	c := t.cut
	t.cut, t.out.cutting = nil, false
	switch {
	case s.ended && s.shares && err == nil: // else they are counted with the others
		s.countDropped(c.why, c.n)
	case s.ended:
	case err != nil:
		s.cutFailedLocked(c, err)
	default:
		s.cutDoneLocked(c)
	}
}

func (s *Session) cutFailedLocked(c *cut, err error) {
	s.m.log.Error("drop queued messages", "client", s.clientID, "reason", dropNames[c.why], "error", err)
	if c.why == dropExpired {
		s.sweepAgainLocked(s.m.stored.Stamp(s.m.cfg.Now()))
	}
}

func (s *Session) cutDoneLocked(c *cut) {
	t := s.traffic
	t.out.cut(c.n, c.bytes)
	s.countDropped(c.why, c.n)
	if c.why == dropExpired {
		s.sweptLocked(c)
	} else if c.n > 0 {
		s.noteLocked(c.n, 0, 0, overflow.DropOldest)
	}
	if c.why == dropQueueFull {
		t.passed = c.passed
	}
	if t.trims && t.sweeping == nil && (c.why == dropExpired || c.n > 0 || c.next != 0) {
		s.needLocked(jobTrim)
	}
	t.out.pump(locked{s})
}

// sweptLocked goes on with a sweep, or notes when the next one can find something.
func (s *Session) sweptLocked(c *cut) {
	if c.next != 0 {
		s.traffic.sweeping = c
		s.needLocked(jobSweep)
		return
	}
	s.sweepAgainLocked(c.least)
}
