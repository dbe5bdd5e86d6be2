package session

import (
	"sync"
	"time"

	"mangrove/internal/bell"
	"mangrove/internal/due"
)

// timers is when something is due, at most once per session, in time of Manager.clock: one heap, one goroutine.
type timers struct {
	look bell.Bell // the first one is another, or the bin has something

	mu   sync.Mutex
	heap due.Heap[*Session]
}

// Due implements due.Item. timers.mu guards it.
func (s *Session) Due() *due.Mark { return &s.alarm }

// set makes s due at that time, in place of what was set before.
func (t *timers) set(s *Session, at time.Duration) {
	t.mu.Lock()
	t.heap.Set(s, int64(at))
	first, _ := t.heap.First()
	t.mu.Unlock()
	if first == s {
		t.look.Ring()
	}
}

func (t *timers) clear(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heap.Remove(s)
}

// due takes off one session whose time has come; nil with the time of the next one, if there is one.
func (t *timers) due(now time.Duration) (s *Session, next time.Duration, some bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first, some := t.heap.First()
	if !some {
		return nil, 0, false
	}
	if at := time.Duration(first.alarm.At); at > now {
		return nil, at, true
	}
	t.heap.Remove(first)
	return first, 0, true
}

// longest is how far ahead the timer is set at most.
const longest = time.Hour

// runTimers hands due sessions to the workers and empties the bin, until Close.
func (m *Manager) runTimers() {
	defer m.ended.Done()
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for {
		timer.Reset(m.tick())
		select {
		case <-m.stop:
			return
		case <-timer.C:
		case <-m.timers.look:
		}
	}
}

// tick does what is due and tells how long nothing will be.
func (m *Manager) tick() time.Duration {
	now := m.clock()
	wait := min(longest, m.bin.tick(now))
	for {
		s, next, some := m.timers.due(now)
		if s == nil {
			if some {
				wait = min(wait, next-now)
			}
			return wait
		}
		s.lock()
		s.needLocked(jobDue)
		s.unlock()
	}
}
