package bridge

import (
	"time"

	"mangrove/bridge/lane"
	"mangrove/mqtt"
)

// LinkStatus is how things stand with one neighbour.
type LinkStatus struct {
	Name            string // node name; of an edge's uplink the core it is linked to, or the address of a plain broker, or ""
	Scope           mqtt.Scope
	Protocol        Protocol  // ProtocolMangrove or ProtocolMQTT while it is up, else ""
	State           string    // up, connecting, down, moved, past
	Addr            string    // of the link, or what is dialled; "via NAME" = it goes through that core
	Since           time.Time // of the state
	BacklogMessages int
	BacklogBytes    int
	Sent            uint64 // messages since start
	Received        uint64
	Repeats         uint64    // recognised and not taken in again
	LastError       string    // why it is not up, or not by a line of its own
	ClockAhead      bool      // its clock is too far ahead of this node's to go by
	Unheard         bool      // gossip has lost the peer: it is known from before, and its link counts
	Full            lane.Full // how its queue stands at its bound
	Twin            string    // another node that runs under the neighbour's name, or under ours where the neighbour told so; "" = none
	LineRate        int       // bytes a second that its line carries, as measured when it was full; 0 = not known, or it is not up
	Attempts        int       // to reach it that failed, since it was up for a while
}

// Status lists the neighbours by name.
func (b *Bridge) Status() []LinkStatus {
	all := b.all()
	found := make([]LinkStatus, 0, len(all))
	for _, n := range all {
		found = append(found, n.status())
	}
	return found
}

// CountFull is the number of neighbours whose queue is at its bound.
func (b *Bridge) CountFull() (full int) {
	for _, n := range b.all() {
		if n.queue.Full().Spell.Full() {
			full++
		}
	}
	return full
}

func (n *neighbour) status() LinkStatus {
	s := LinkStatus{Name: n.name, Scope: n.scope, Sent: n.sent.Load(), Received: n.received.Load(), Repeats: n.repeats.Load()}
	s.BacklogMessages, s.BacklogBytes = n.queue.Backlog()
	s.ClockAhead = n.ahead.Load()
	s.Full = n.queue.Full()
	s.Unheard = n.scope == mqtt.ScopePeer && n.past.Load() == nil && n.b.isLost(n.name)
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Addr, s.Since, s.LastError = n.addr, n.since, n.lastError
	if n.twin.fresh(n.b.cfg.Now()) {
		s.Twin = n.twin.text
	}
	if s.Attempts = n.failing.Times; s.LastError == "" {
		s.Attempts = 0
	}
	up := false
	if n.scope == mqtt.ScopeUplink {
		s.Name = ""
	}
	if l := n.link.Load(); l != nil {
		name, stage := l.farEnd()
		if up = stage == stageUp; n.scope == mqtt.ScopeUplink {
			s.Name = name
		}
		if up {
			s.Protocol, s.LineRate = ProtocolMangrove, l.pace.rate()
		}
	}
	if l := n.remote.Load(); l != nil {
		up, s.Name, s.Protocol, s.LineRate = true, l.addr, ProtocolMQTT, l.pace.rate()
	}
	switch {
	case up:
		s.State = "up"
	case n.past.Load() != nil:
		s.Name, s.State, s.Since = n.key, "past", n.rec.moved
	case !n.rec.moved.IsZero():
		s.State, s.Since = "moved", n.rec.moved
	case n.dialling || n.link.Load() != nil:
		s.State = "connecting"
	default:
		s.State = "down"
	}
	now := n.b.cfg.Now()
	s.Since = now.Add(s.Since.Sub(now)) // the time of day as the wall clock has it by now
	return s
}

// setDialling notes that an address is being dialled.
func (n *neighbour) setDialling(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.link.Load() != nil {
		return // through another core
	}
	if !n.dialling {
		n.dialling, n.since = true, n.b.cfg.Now()
	}
	if n.down.IsZero() && n.link.Load() == nil {
		n.down = n.since
	}
	n.addr = addr
}
