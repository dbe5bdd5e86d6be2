package retain

import "time"

// sweepStep is how many expired messages are removed at a time, so that publishers are not held up.
const sweepStep = 256

// sweeper is the Store's goroutine.
func (s *Store) sweeper() {
	defer close(s.done)
	ticker := time.NewTicker(s.cfg.SweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			for s.Sweep(s.cfg.Now()) == sweepStep && !s.stopped() {
			}
		}
	}
}

func (s *Store) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// Sweep removes up to sweepStep messages that have expired [MQTT-3.3.2-5] and returns how many. The Store
// calls it by itself.
func (s *Store) Sweep(now time.Time) int {
	at := s.clock.Stamp(now)
	s.mu.Lock()
	over := s.overLocked(at)
	s.count.expired.Add(len(over))
	if s.cfg.Store == nil {
		for _, e := range over {
			s.replaceLocked(&entry{topic: e.topic, gone: true})
		}
		s.mu.Unlock()
		return len(over)
	}
	b := s.cfg.Store.NewBatch()
	for _, e := range over {
		gone := &entry{topic: e.topic, gone: true}
		s.proposeLocked(gone)
		s.writeLocked(gone, nil, b)
	}
	s.mu.Unlock()
	s.cfg.Store.Commit(b) // without the lock: it may tell at once
	return len(over)
}

// overLocked returns up to sweepStep entries that have expired. They wait in the heap until they are no longer visible.
func (s *Store) overLocked(now int64) (over []*entry) {
	for e := range s.expiry.Passed(now) {
		if over = append(over, e); len(over) == sweepStep {
			break
		}
	}
	return over
}
