package client

import (
	"context"
	"sync"

	"mangrove/mqtt/packet"
)

// maxFlights bounds the messages in a State: some packet ids must stay free for SUBSCRIBE.
const maxFlights = 60_000

// State is the session on the client's side: what was published at QoS 1 and 2 and is not
// acknowledged, and which QoS 2 messages came in half. It lives in memory. The zero State is a
// new session. Give it to one Dial after the other; safe for concurrent use.
//
// A message in it keeps its done across connections: done is called when the acknowledgement
// comes, be it on a later connection, or by Drop.
type State struct {
	mu     sync.Mutex
	owner  *Client // nil = between connections
	lastID uint16

	// Outgoing. The two lists have each flight once: sent holds what waits for PUBACK or PUBREC, in the
	// order it was published, released what waits for PUBCOMP, in the order its PUBREC came.
	flights  map[uint16]*flight
	sent     flightList
	released flightList

	received map[uint16]struct{} // incoming QoS 2 ids between PUBREC and PUBREL
}

// flight is one outgoing message on its way.
//
//	sent ─ PUBACK (QoS 1) ──────────────────────────────→ done
//	     └ PUBREC (QoS 2) → released, PUBREL ─ PUBCOMP ─→ done
type flight struct {
	id       uint16
	m        *Message
	done     func(packet.ReasonCode, error)
	released bool
	counted  bool // takes a place in the present connection's window
	before   bool // was sent on an earlier connection: DUP

	list       *flightList
	prev, next *flight
}

// Len is the number of messages that are not acknowledged.
func (s *State) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flights)
}

// Drop forgets everything: each message's done gets err, or ErrSessionLost when that is nil. For use
// between connections, when there will be no further one.
func (s *State) Drop(err error) {
	if err == nil {
		err = ErrSessionLost
	}
	s.mu.Lock()
	var dropped []*flight
	for _, list := range []*flightList{&s.released, &s.sent} {
		for f := list.first; f != nil; f = list.first {
			s.removeLocked(f)
			dropped = append(dropped, f)
		}
	}
	clear(s.received)
	s.mu.Unlock()
	for _, f := range dropped {
		f.finish(0, err)
	}
}

func (f *flight) finish(reason packet.ReasonCode, err error) {
	if f.done != nil {
		f.done(reason, err)
	}
}

// acquire makes c the owner. An owner whose connection is over is waited for.
func (s *State) acquire(ctx context.Context, c *Client) error {
	for {
		owner := s.own(c)
		if owner == c {
			return nil
		}
		if owner.Err() == nil {
			return ErrStateInUse
		}
		select {
		case <-owner.done:
		case <-ctx.Done():
			return ErrStateInUse
		}
	}
}

// own makes c the owner if there is none, and returns who is.
func (s *State) own(c *Client) *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == nil {
		s.owner = c
	}
	return s.owner
}

func (s *State) release(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == c {
		s.owner = nil
	}
}

// nextIDLocked finds a packet id that is in use neither here nor in requests [MQTT-2.2.1-3]; 0 = none.
func (s *State) nextIDLocked(requests map[uint16]*request) uint16 {
	for range 1 << 16 {
		s.lastID++
		if s.lastID == 0 || s.flights[s.lastID] != nil || requests[s.lastID] != nil {
			continue
		}
		return s.lastID
	}
	return 0
}

func (s *State) addLocked(f *flight) {
	if s.flights == nil {
		s.flights = make(map[uint16]*flight)
	}
	s.flights[f.id] = f
	s.sent.push(f)
}

func (s *State) removeLocked(f *flight) {
	delete(s.flights, f.id)
	f.list.remove(f)
}

// knows reports whether the QoS 2 message id was received before. An error when there are more
// than max. [MQTT-3.3.4-9]
func (s *State) knows(id uint16, max int) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.received[id]; ok {
		return true, nil
	}
	if len(s.received) >= max {
		return false, &packet.Error{Reason: packet.ReceiveMaximumExceeded, Rule: "MQTT-3.3.4-9",
			Detail: "more QoS 2 messages than we allow"}
	}
	return false, nil
}

func (s *State) note(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received == nil {
		s.received = make(map[uint16]struct{})
	}
	s.received[id] = struct{}{}
}

func (s *State) forget(id uint16) (known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known = s.received[id]
	delete(s.received, id)
	return known
}

// flightList is a list in the order of push.
type flightList struct{ first, last *flight }

func (l *flightList) push(f *flight) {
	f.list, f.prev, f.next = l, l.last, nil
	if l.last == nil {
		l.first = f
	} else {
		l.last.next = f
	}
	l.last = f
}

func (l *flightList) remove(f *flight) {
	if f.prev == nil {
		l.first = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next == nil {
		l.last = f.prev
	} else {
		f.next.prev = f.prev
	}
	f.list, f.prev, f.next = nil, nil, nil
}
