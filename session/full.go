package session

import (
	"time"

	"mangrove/internal/overflow"
	"mangrove/mqtt"
)

// What happens at a queue's bound:
//
//	drop-oldest ┬ the queue is in memory ── the oldest unsent messages go at once
//	            └ it is on disk ─────────── taken, up to overflow.Slack above the bound; a worker trims (trim.go)
//	refuse ─────┬ from a client here ────── its publisher is told
//	            └ from a link ───────────── parked: the queue takes it, up to twice its bound. So the link goes on, and it leaves
//	                                        in its place in the queue
//	drop-new ───── counted
//
// Before any of it a queue in which something may have expired is looked through.

// jam is what the bound of one session's queue has cost.
type jam struct {
	overflow.Spell        // that goes on
	dropped        uint64 // since the queue began
	refused        uint64
}

// fullLocked reports whether one more message of that size is above the session's bounds.
func (s *Session) fullLocked(size int) bool {
	t := s.traffic
	if t == nil {
		return false
	}
	most, bytes := s.bounds()
	return t.out.count >= most || t.out.count > 0 && t.out.bytes+int64(size) > bytes
}

func (s *Session) bounds() (messages int, bytes int64) {
	if s.durable() {
		return s.m.cfg.MaxQueuedMessages, s.m.cfg.MaxQueuedBytes
	}
	return s.m.cfg.MaxQueuedMessages, min(s.m.cfg.MaxQueuedBytes, s.m.cfg.MaxMemoryBytes)
}

// beyondLocked reports whether the queue is that far above its bounds.
func (s *Session) beyondLocked(messages int, bytes int64) bool {
	n, size := s.excessLocked()
	return n >= messages || size >= bytes
}

// excessLocked is how much the queue is above its bounds; negative below.
func (s *Session) excessLocked() (n int, bytes int64) {
	o := &s.wakeLocked().out
	most, size := s.bounds()
	return o.count - most, o.bytes - size
}

// Room reports whether one more message of that size leaves half of the queue free. What can wait elsewhere,
// as retained messages for a new subscription can, is to be handed over only then, so that live messages
// are not refused for its sake.
func (s *Session) Room(size int) bool {
	s.lock()
	defer s.unlock()
	t := s.traffic
	if t == nil {
		return true
	}
	most, bytes := s.bounds()
	return t.out.count < (most+1)/2 && (t.out.count == 0 || t.out.bytes+int64(size) <= bytes/2)
}

// deliverFullLocked does what was configured for a queue at its bound. [promise P6]
func (s *Session) deliverFullLocked(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	most, bytes := s.bounds()
	switch policy := s.m.cfg.WhenFull.Of(m.Topic); {
	case s.sweepsMemoryLocked() && !s.fullLocked(m.Size()):
		s.enqueueLocked(m, d, r)
	case d.QoS > 0 && policy == overflow.DropOldest:
		s.displaceLocked(m, d, r)
	case s.sweepsFirstLocked() && !s.beyondLocked(s.slackLocked()):
		s.enqueueLocked(m, d, r)
		s.needLocked(jobTrim)
	case d.QoS == 0 || policy == overflow.DropNew:
		s.lostLocked(dropQueueFull, policy)
	case m.From.Scope&linkScopes != 0 && !s.beyondLocked(most, bytes):
		s.m.count.parked.Inc()
		s.noteLocked(0, 0, 1, policy)
		s.enqueueLocked(m, d, r)
	case m.From.Scope&linkScopes != 0:
		s.lostLocked(dropParkingFull, policy)
	default:
		s.m.count.refused.Inc()
		s.noteLocked(0, 1, 0, policy)
		r.Refuse(mqtt.ErrQuota)
	}
}

const linkScopes = mqtt.ScopeEdge | mqtt.ScopePeer | mqtt.ScopeUplink

func (s *Session) slackLocked() (messages int, bytes int64) {
	most, size := s.bounds()
	return overflow.Slack(most, overflow.SlackMessages), overflow.Slack(size, overflow.SlackBytes)
}

// displaceLocked takes m; the oldest give way, for a queue on disk a little later.
func (s *Session) displaceLocked(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	t := s.traffic
	for !s.durable() && s.fullLocked(m.Size()) && t.out.dropOldest(locked{s}) {
		s.noteLocked(1, 0, 0, overflow.DropOldest)
	}
	switch {
	case s.durable() && !s.beyondLocked(s.slackLocked()):
		t.trims = true
		s.enqueueLocked(m, d, r)
		s.needLocked(jobTrim)
	case s.durable() || s.fullLocked(m.Size()): // all that is there was sent, or does not give way
		s.lostLocked(dropQueueFull, overflow.DropOldest)
	default:
		s.enqueueLocked(m, d, r)
	}
}

func (s *Session) lostLocked(why outcome, policy overflow.Policy) {
	s.countDropped(why, 1)
	s.noteLocked(1, 0, 0, policy)
}

// noteLocked notes what a full queue has cost, and tells the operator of it when it is time.
func (s *Session) noteLocked(dropped, refused, parked int, policy overflow.Policy) {
	t := s.traffic
	if t.jam == nil {
		t.jam = new(jam)
	}
	if !t.jam.Full() {
		s.m.jammed.Add(1)
	}
	t.jam.dropped += uint64(dropped)
	t.jam.refused += uint64(refused)
	if t.jam.Note(s.m.cfg.Now(), dropped, refused, parked) {
		t.jam.Warn(s.m.log, s.reportLocked(policy))
	}
}

func (s *Session) reportLocked(policy overflow.Policy) overflow.Queue {
	o := &s.traffic.out
	return overflow.Queue{Kind: "client", Name: s.clientID, Messages: o.count, Bytes: o.bytes, Oldest: s.oldestLocked(), Policy: policy}
}

// oldestLocked is how long the oldest message has waited, at most; 0 = not known, or there is none.
func (s *Session) oldestLocked() time.Duration {
	t := s.traffic
	if t == nil || t.out.count == 0 {
		return 0
	}
	if age, ok := t.ages.Of(t.out.first(), s.m.cfg.Now()); ok {
		return age
	}
	if s.outletLocked() == nil {
		return s.m.clock() - s.detached
	}
	return 0
}

// roomyLocked reports whether an eighth of the queue is free.
func (s *Session) roomyLocked() bool {
	most, bytes := s.bounds()
	o := &s.traffic.out
	return o.count == 0 || o.count <= most-max(1, most/8) && o.bytes <= bytes-bytes/8
}

// unjamLocked ends the spell.
func (s *Session) unjamLocked() {
	s.m.jammed.Add(-1)
	q := s.reportLocked("")
	s.traffic.jam.End().Report(s.m.log, q, s.m.cfg.Now())
}
