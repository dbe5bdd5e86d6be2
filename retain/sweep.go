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
	at := s.stamp(now)
	s.mu.Lock()
	due := s.expiry.due(at, sweepStep)
	s.count.expired.Add(len(due))
	if s.cfg.Store == nil {
		for _, e := range due {
			s.replaceLocked(&entry{topic: e.topic, gone: true})
		}
		s.mu.Unlock()
		return len(due)
	}
	b := s.cfg.Store.NewBatch()
	for _, e := range due {
		gone := &entry{topic: e.topic, gone: true}
		s.proposeLocked(gone)
		s.writeLocked(gone, nil, b)
	}
	s.mu.Unlock()
	s.cfg.Store.Commit(b) // without the lock: it may tell at once
	return len(due)
}
