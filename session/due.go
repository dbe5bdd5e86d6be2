package session

import (
	"time"

	"mangrove/internal/store"
)

// due does what a session's alarm was set for: its end, its will, a sweep. Runs on a worker.
func (m *Manager) due(s *Session) {
	defer m.gates.enter(s.clientID)()
	w, over, ok := s.whatIsDue()
	if !ok {
		return
	}
	if w != nil || over {
		b := m.newBatch()
		m.announce(b, w)
		s.mu.Lock()
		switch {
		case s.durable && over:
			b.Delete(store.Sessions, []byte(s.clientID))
		case s.durable:
			s.recordLocked(b)
		}
		s.unlock()
		m.commitLater(b)
	}
	if over {
		m.count.expired.Inc()
		m.end(s)
		return
	}
	s.mu.Lock()
	defer s.unlock()
	if s.soonest != 0 {
		s.swept = m.clock()
		s.need(jobSweep)
	}
	s.armLocked()
}

// whatIsDue tells which will is to be published now, and whether the session is over [MQTT-4.1.0-2]. ok is
// false when nothing is left to do.
func (s *Session) whatIsDue() (w *will, over, ok bool) {
	s.mu.Lock()
	defer s.unlock()
	if s.ended {
		s.discarding = false
		s.leftoversLocked()
		return nil, false, false
	}
	if s.outlet != nil {
		return nil, false, true
	}
	now := s.m.clock()
	over = s.expiry >= 0 && s.overAtLocked() <= now
	if s.will != nil && (over || max(s.willAtLocked(), s.will.grace) <= now) {
		w, s.will = s.will, nil
	}
	return w, over, true
}

// discardStep is how many records one step removes.
const discardStep = 1000

// discardRetry is how long discard waits after the store refused.
const discardRetry = time.Second

// discard removes one step of what an ended session left in the store; Committed asks for the next. Runs on a worker.
func (m *Manager) discard(s *Session) {
	s.mu.Lock()
	number := s.number
	s.unlock()
	from, to := queueKey(number, 0), queueKey(number+1, 0)
	n := 0
	next := to
	err := m.cfg.Store.Scan(store.Queues, from, to, func(k, _ []byte) bool {
		n++
		if n > discardStep {
			next = append([]byte(nil), k...)
		}
		return n <= discardStep
	})
	b := m.cfg.Store.NewBatch()
	switch {
	case err != nil:
	case n > 0:
		b.DeleteRange(store.Queues, from, next)
	default:
		b.DeleteRange(store.Subscriptions, numberKey(number, 0), numberKey(number+1, 0))
		b.DeleteRange(store.Received, numberKey(number, 0), numberKey(number+1, 0))
	}
	s.mu.Lock()
	s.lastStep = n == 0 && err == nil
	if err != nil {
		s.discardedLocked(err)
	} else {
		b.Notify(s, kindDiscard)
		s.batch = b
	}
	s.unlock()
}

func (s *Session) discardedLocked(err error) {
	switch {
	case err != nil:
		s.m.log.Error("remove what an ended session left", "client", s.clientID, "error", err)
		s.m.timers.set(s, s.m.clock()+discardRetry)
	case !s.lastStep:
		s.need(jobDiscard)
	}
}
