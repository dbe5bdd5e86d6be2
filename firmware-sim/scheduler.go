package firmwaresim

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// scheduler is one alarm clock for all devices: a heap of times, one goroutine.
type scheduler struct {
	ring func(r *runner) // called when r is due; may block, which delays the others

	mu    sync.Mutex
	queue alarms
	nudge chan struct{} // something is due earlier than before
}

func newScheduler(ring func(*runner)) *scheduler {
	return &scheduler{ring: ring, nudge: make(chan struct{}, 1)}
}

// set makes r due at that time instead of any other; zero = never.
func (s *scheduler) set(r *runner, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.alarm != nil {
		heap.Remove(&s.queue, r.alarm.index)
		r.alarm = nil
	}
	if at.IsZero() {
		return
	}
	r.alarm = &alarm{at: at, r: r}
	heap.Push(&s.queue, r.alarm)
	if r.alarm.index == 0 {
		select {
		case s.nudge <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// run rings until ctx ends.
func (s *scheduler) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.nudge:
		}
		for r := s.due(time.Now()); r != nil; r = s.due(time.Now()) {
			s.ring(r)
		}
		timer.Reset(s.wait(time.Now()))
	}
}

// due takes one runner out whose time has come; nil = none.
func (s *scheduler) due(now time.Time) *runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || now.Before(s.queue[0].at) {
		return nil
	}
	a := heap.Pop(&s.queue).(*alarm)
	a.r.alarm = nil
	return a.r
}

func (s *scheduler) wait(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return time.Hour // until a nudge
	}
	return max(s.queue[0].at.Sub(now), 0)
}

// alarm is one entry of the heap.
type alarm struct {
	at    time.Time
	r     *runner
	index int
}

// alarms implements heap.Interface, earliest first.
type alarms []*alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

func (a *alarms) Push(x any) {
	x.(*alarm).index = len(*a)
	*a = append(*a, x.(*alarm))
}

func (a *alarms) Pop() any {
	last := (*a)[len(*a)-1]
	(*a)[len(*a)-1] = nil
	*a = (*a)[:len(*a)-1]
	return last
}
