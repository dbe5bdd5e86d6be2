package session

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Info is what can be told of one session at one moment.
type Info struct {
	ClientID      string
	Connected     bool
	Away          time.Duration // since it was connected; 0 while it is
	Expiry        time.Duration // how long it outlives its connection; negative = for ever
	Subscriptions int

	Queued      int // messages owed, those in flight included
	QueuedBytes int64
	InFlight    int           // sent and not acknowledged
	Oldest      time.Duration // age of the oldest message, at most; 0 = not known

	FullSince time.Time // when the queue came to its bound; zero = there is room
	Dropped   uint64    // at the bound, since the queue began
	Refused   uint64    // publishes, likewise
}

func (s *Session) info() Info {
	s.lock()
	defer s.unlock()
	i := Info{ClientID: s.clientID, Connected: s.outletLocked() != nil, Expiry: s.expiry, Subscriptions: s.filters.len()}
	if !i.Connected {
		i.Away = s.m.clock() - s.detached
	}
	t := s.traffic
	if t == nil {
		return i
	}
	i.Queued, i.QueuedBytes, i.InFlight, i.Oldest = t.out.count, t.out.bytes, t.out.inFlight(), s.oldestLocked()
	if t.jam != nil {
		i.FullSince, i.Dropped, i.Refused = t.jam.Since, t.jam.dropped, t.jam.refused
	}
	return i
}

// Info tells of one session; ok is false when the client has none.
func (m *Manager) Info(clientID string) (i Info, ok bool) {
	s := m.lookup(clientID)
	if s == nil {
		return Info{}, false
	}
	return s.info(), true
}

// Full tells of the sessions whose queue is at its bound, the largest first, n at most.
func (m *Manager) Full(n int) []Info {
	if m.jammed.Load() == 0 {
		return nil
	}
	return m.top(n, func(i *Info) bool { return !i.FullSince.IsZero() })
}

// CountFull is the number of sessions whose queue is at its bound.
func (m *Manager) CountFull() int { return int(m.jammed.Load()) }

func (m *Manager) top(n int, which func(*Info) bool) (top []Info) {
	larger := func(a, b Info) int {
		return cmp.Or(cmp.Compare(b.Queued, a.Queued), strings.Compare(a.ClientID, b.ClientID))
	}
	m.each(func(s *Session) {
		i := s.info()
		if !which(&i) {
			return
		}
		at, _ := slices.BinarySearchFunc(top, i, larger)
		if at < n {
			top = slices.Insert(top[:min(len(top), n-1)], at, i)
		}
	})
	return top
}
