package session

import (
	"container/heap"
	"sync"
	"time"
)

// timers is when something is due, at most once per session: one heap, one goroutine.
type timers struct {
	wake chan struct{} // the first one changed

	mu   sync.Mutex
	heap alarmHeap
}

// alarm is a session's place in the heap; part of Session, guarded by timers.mu.
type alarm struct {
	at    time.Duration // of Manager.clock
	place int           // index+1 in the heap; 0 = not there
}

// set makes s due at that time, in place of what was set before.
func (t *timers) set(s *Session, at time.Duration) {
	t.mu.Lock()
	s.alarm.at = at
	if s.alarm.place > 0 {
		heap.Fix(&t.heap, s.alarm.place-1)
	} else {
		heap.Push(&t.heap, s)
	}
	first := t.heap[0] == s
	t.mu.Unlock()
	if first {
		t.kick()
	}
}

func (t *timers) clear(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.alarm.place > 0 {
		heap.Remove(&t.heap, s.alarm.place-1)
	}
}

func (t *timers) kick() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// due takes off one session whose time has come; nil with the time of the next one, if there is one.
func (t *timers) due(now time.Duration) (s *Session, next time.Duration, some bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.heap) == 0 {
		return nil, 0, false
	}
	if at := t.heap[0].alarm.at; at > now {
		return nil, at, true
	}
	return heap.Pop(&t.heap).(*Session), 0, true
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
		case <-m.timers.wake:
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
		s.mu.Lock()
		s.need(jobDue)
		s.unlock()
	}
}

// alarmHeap implements heap.Interface, the earliest first.
type alarmHeap []*Session

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].alarm.at < h[j].alarm.at }

func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].alarm.place, h[j].alarm.place = i+1, j+1
}

func (h *alarmHeap) Push(x any) {
	s := x.(*Session)
	*h = append(*h, s)
	s.alarm.place = len(*h)
}

func (h *alarmHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	s.alarm.place = 0
	return s
}
