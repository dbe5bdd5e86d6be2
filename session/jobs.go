package session

import "sync"

// job is work for a session that a worker does, because it reads from the store or takes the gate.
type job byte

const (
	jobFetch   job = 1 << iota // read messages that are to be sent
	jobDue                     // expiry or will
	jobSweep                   // drop what has expired
	jobTrim                    // drop the oldest
	jobDiscard                 // remove what an ended session left in the store
)

// jobs is the line of sessions with work to do; each is there at most once, so it is bounded by
// their number, and one worker at a time works for a session.
type jobs struct {
	mu     sync.Mutex
	some   sync.Cond
	line   []*Session
	closed bool
}

func (j *jobs) init() { j.some.L = &j.mu }

func (j *jobs) push(s *Session) {
	j.mu.Lock()
	j.line = append(j.line, s)
	j.mu.Unlock()
	j.some.Signal()
}

// next waits for work; nil after close.
func (j *jobs) next() *Session {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.line) == 0 && !j.closed {
		j.some.Wait()
	}
	if j.closed {
		return nil
	}
	s := j.line[0]
	j.line[0] = nil
	j.line = j.line[1:]
	return s
}

func (j *jobs) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.some.Broadcast()
}

// needLocked asks for a job.
func (s *Session) needLocked(j job) {
	s.wanted |= j
	if !s.scheduled {
		s.scheduled = true
		s.m.jobs.push(s)
	}
}

// work is a worker's goroutine.
func (m *Manager) work() {
	defer m.ended.Done()
	for s := m.jobs.next(); s != nil; s = m.jobs.next() {
		s.lock()
		wanted := s.wanted
		s.wanted = 0
		s.unlock()
		m.run(s, wanted)
		s.lock()
		s.scheduled = s.wanted != 0
		if s.scheduled {
			m.jobs.push(s)
		}
		s.unlock()
	}
}

func (m *Manager) run(s *Session, wanted job) {
	if wanted&jobDue != 0 {
		m.due(s)
	}
	if wanted&jobSweep != 0 {
		s.sweep()
	}
	if wanted&jobTrim != 0 {
		s.trim()
	}
	if wanted&jobFetch != 0 {
		s.fetchBodies()
		s.fill()
	}
	if wanted&jobDiscard != 0 {
		m.discard(s)
	}
}
