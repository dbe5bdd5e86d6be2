package session

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mangrove/mqtt/packet"
)

// Errors of Remove.
var (
	ErrNoSession = errors.New("no such session")
	ErrConnected = errors.New("the client is connected")
)

// Remove ends a client's session because an operator wants it: its will is published, its subscriptions go, and what it is
// owed is dropped, counted as removed by the operator, or goes to other members of shared groups. was is what it was. With
// kick a connected client is disconnected (reason code 0x98); without, that is ErrConnected. It returns when the end is
// stable; a client that connects again has a new session.
func (m *Manager) Remove(clientID string, kick bool) (was Info, err error) {
	defer m.gates.enter(clientID).leave()
	s := m.lookup(clientID)
	if s == nil {
		return Info{}, ErrNoSession
	}
	was = s.info()
	w, err := s.expel(kick)
	if err != nil {
		return was, err
	}
	b := m.newBatch()
	m.publishWill(b, w)
	s.erase(b)
	if err := m.commit(b); err != nil {
		s.keepAfterAll(w)
		return was, fmt.Errorf("remove session: %w", err)
	}
	m.end(s)
	m.log.Info("session removed by the operator", "client", clientID, "messages", was.Queued, "bytes", was.QueuedBytes)
	return was, nil
}

// expel takes the connection off, and returns the will to publish.
func (s *Session) expel(kick bool) (w *will, err error) {
	s.lock()
	defer s.unlock()
	out := s.outletLocked()
	switch {
	case s.ended:
		return nil, ErrNoSession
	case out != nil && !kick:
		return nil, ErrConnected
	case out != nil:
		out.Close(packet.AdministrativeAction)
		s.detachLocked()
	}
	s.wakeLocked().removed = true
	w, s.will = s.will, nil
	return w, nil
}

// keepAfterAll undoes expel but for the connection.
func (s *Session) keepAfterAll(w *will) {
	s.restore(w)
	s.lock()
	defer s.unlock()
	s.wakeLocked().removed = false
}

// lossLocked is what messages that end with the session are counted as.
func (s *Session) lossLocked() outcome {
	if t := s.traffic; t != nil && t.removed {
		return dropRemoved
	}
	return dropEnded
}

// Order is how List sorts.
type Order string

// The orders.
const (
	ByBacklog Order = "backlog" // most messages first
	ByAge     Order = "age"     // the oldest message first, then who has been away longest
	ByName    Order = "name"
)

// List tells of the first n sessions in that order whose client id begins with prefix, and how many such there are. It
// looks at all sessions, without a lock on more than one.
func (m *Manager) List(order Order, prefix string, n int) (first []Info, matching int) {
	m.each(func(s *Session) {
		if !strings.HasPrefix(s.clientID, prefix) {
			return
		}
		matching++
		if len(first) == n && order == ByName && s.clientID >= first[n-1].ClientID {
			return
		}
		i := s.info()
		if at, _ := slices.BinarySearchFunc(first, i, order.compare); at < n {
			first = slices.Insert(first[:min(len(first), n-1)], at, i)
		}
	})
	return first, matching
}

func (o Order) compare(a, b Info) int {
	switch o {
	case ByName:
		return strings.Compare(a.ClientID, b.ClientID)
	case ByAge:
		return cmp.Or(cmp.Compare(b.Oldest, a.Oldest), cmp.Compare(b.Away, a.Away), strings.Compare(a.ClientID, b.ClientID))
	}
	return cmp.Or(cmp.Compare(b.Queued, a.Queued), cmp.Compare(b.QueuedBytes, a.QueuedBytes), strings.Compare(a.ClientID, b.ClientID))
}

// Find tells of the client ids of some sessions that like picks, n at most.
func (m *Manager) Find(like func(clientID string) bool, n int) (found []string) {
	m.each(func(s *Session) {
		if len(found) < n && like(s.clientID) {
			found = append(found, s.clientID)
		}
	})
	return found
}

// Overview sums up all sessions.
type Overview struct {
	Sessions, Connected int
	Queued              int // messages owed, those in flight included
	QueuedBytes         int64
	Largest             []Info // those that are owed most, if anything
}

// Overview looks at all sessions once, as List does, and tells of the n largest queues.
func (m *Manager) Overview(n int) (o Overview) {
	m.each(func(s *Session) {
		i := s.info()
		o.Sessions++
		if i.Connected {
			o.Connected++
		}
		o.Queued += i.Queued
		o.QueuedBytes += i.QueuedBytes
		if i.Queued == 0 || len(o.Largest) == n && i.Queued < o.Largest[n-1].Queued {
			return
		}
		if at, _ := slices.BinarySearchFunc(o.Largest, i, ByBacklog.compare); at < n {
			o.Largest = slices.Insert(o.Largest[:min(len(o.Largest), n-1)], at, i)
		}
	})
	return o
}
