package session

import "mangrove/internal/batch"

// cut is one step of removing records from the tail, unsent: the oldest above the bound, or those
// that expired. One at a time; the tail is not read meanwhile.
type cut struct {
	why   outcome
	n     int
	bytes int64
	next  uint64 // where the tail was not looked at yet; 0 = it was to its end
	least int64  // the first expiry among those left, in stored time; 0 = none
}

// cutStep is how many records one step reads.
const cutStep = 4096

// trim drops the oldest unsent messages of a queue above its bound. Runs on a worker.
func (s *Session) trim() {
	s.lock()
	o := &s.wakeLocked().out
	n, bytes := s.excessLocked()
	for (n > 0 || bytes > 0) && o.dropOldest(locked{s}) {
		n, bytes = s.excessLocked()
	}
	s.unlock()
	if n > 0 || bytes > 0 {
		c := &cut{why: dropQueueFull}
		s.cutTail(c, 0, func(*queueRecord) bool { return c.n < n || c.bytes < bytes })
	}
}

// excessLocked is how much the queue is above its bounds.
func (s *Session) excessLocked() (n int, bytes int64) {
	o := &s.wakeLocked().out
	return o.count - s.m.cfg.MaxQueuedMessages, o.bytes - s.m.cfg.MaxQueuedBytes
}

// sweep drops expired messages of the tail, and goes on where the step before it stopped. Runs on a
// worker. [MQTT-3.3.2-5]
func (s *Session) sweep() {
	now := s.m.stored.Stamp(s.m.cfg.Now())
	s.lock()
	t := s.wakeLocked()
	c := &cut{why: dropExpired}
	from := uint64(0)
	due := t.soonest != 0 && t.soonest <= now
	if t.sweeping != nil {
		due, from, c.least = true, t.sweeping.next, t.sweeping.least
	} else if due {
		t.soonest = 0 // what comes from here on notes itself; what is left notes sweptLocked
	}
	t.sweeping = nil
	if len(t.out.pending) > 0 {
		c.least = earlier(c.least, now+1) // those are not looked at
	}
	s.unlock()
	if due && !s.cutTail(c, from, func(q *queueRecord) bool { return c.expired(q, now) }) {
		s.lock()
		defer s.unlock()
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
	seen := 0
	err := s.m.scanQueue(number, from, to, func(seq uint64, q *queueRecord) bool {
		if seen++; seen > cutStep {
			c.next = seq
			return false
		}
		if rule.removable(seq, q.qos) && pick(q) {
			c.n++
			c.bytes += int64(q.size)
			b.Delete(batch.Queues, queueKey(number, seq))
		}
		return true
	})
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
	if n, bytes := s.excessLocked(); c.why == dropQueueFull && c.n > 0 && (n > 0 || bytes > 0) {
		s.needLocked(jobTrim)
	}
	if c.why == dropExpired {
		s.sweptLocked(c)
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
