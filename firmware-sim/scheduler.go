package firmwaresim

import (
	"context"
	"sync"
	"time"

	"mangrove/internal/bell"
	"mangrove/internal/due"
)

// scheduler is one alarm clock for all devices: a heap of times, one goroutine.
type scheduler struct {
	wake    func(r *runner) // called when r is due; may block, which delays the others
	begin   time.Time       // deadlines are nanoseconds since, so that they do not jump with the wall clock
	earlier bell.Bell       // something is due earlier than before

	mu   sync.Mutex
	heap due.Heap[*runner]
}

func newScheduler(wake func(*runner)) *scheduler {
	return &scheduler{wake: wake, begin: time.Now(), earlier: bell.New()}
}

// set makes r due at that time instead of any other; zero = never.
func (s *scheduler) set(r *runner, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.IsZero() {
		s.heap.Remove(r)
		return
	}
	s.heap.Set(r, int64(at.Sub(s.begin)))
	if first, _ := s.heap.First(); first == r {
		s.earlier.Ring()
	}
}

// run wakes the runners until ctx ends.
func (s *scheduler) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.earlier:
		}
		r, wait := s.next()
		for ; r != nil; r, wait = s.next() {
			s.wake(r)
		}
		timer.Reset(wait)
	}
}

// next takes one runner out whose time has come; nil = none for wait.
func (s *scheduler) next() (r *runner, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, some := s.heap.First()
	if !some {
		return nil, time.Hour // until the bell
	}
	if wait = time.Duration(first.alarm.At) - time.Since(s.begin); wait > 0 {
		return nil, wait
	}
	s.heap.Remove(first)
	return first, 0
}
