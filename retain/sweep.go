package retain

import (
	"time"

	"mangrove/internal/batch"
)

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

// Sweep removes up to sweepStep messages that have expired [MQTT-3.3.2-5], and as many clearings that need not be known any more, and
// returns how many of what there was more of. The Store calls it by itself.
func (s *Store) Sweep(now time.Time) int {
	at := s.clock.Stamp(now)
	var b *batch.Batch
	if s.cfg.Store != nil {
		b = s.cfg.Store.NewBatch()
		defer func() { s.cfg.Store.Commit(b) }() // without the lock: it may tell at once
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = s.full && (s.messages >= s.cfg.MaxMessages || s.bytes >= s.cfg.MaxBytes)
	over := s.overLocked(at)
	s.count.expired.Add(len(over))
	for _, e := range over {
		if gone := s.clearingOf(e); b == nil {
			s.replaceLocked(gone)
		} else {
			s.proposeLocked(gone)
			s.writeLocked(gone, nil, b)
		}
	}
	return max(len(over), s.forgetOldLocked(at, sweepStep))
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
