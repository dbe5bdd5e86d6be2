package store

import (
	"errors"
	"fmt"
)

// failed tells the group's waiters, and decides whether the store goes on.
func (s *Store) failed(how severity, err error) {
	if !errors.Is(err, how.sentinel()) {
		err = fmt.Errorf("%w: %w", how.sentinel(), err)
	}
	if how == full {
		s.noteFull(err)
	} else {
		if s.writer.pause == 0 || how == fatal { // said once, not at each try
			s.cfg.Log.Error("store cannot write", "folder", s.cfg.Dir, "error", err)
		}
		s.count.errors[how].Inc()
	}
	s.health.Store(&err)
	if how == fatal {
		s.die(err)
	} else {
		s.writer.pause = min(max(minPause, 2*s.writer.pause), maxPause)
	}
	s.finish(err)
}

// die makes the writer refuse everything from here on.
func (s *Store) die(err error) {
	s.writer.dead, s.writer.pause = err, 0
	s.ids.stop()
	if s.cfg.OnFatal != nil {
		go s.cfg.OnFatal(err) // ends by itself; not waited for, since it may call Close
	}
}

// doom has the writer stop the store. Nothing is written any more.
func (s *Store) doom(err error) {
	s.health.Store(&err)
	s.doomed.CompareAndSwap(nil, &err)
	s.turn()
}
