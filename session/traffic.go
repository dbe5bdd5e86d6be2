package session

import (
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/overflow"
	"mangrove/mqtt"
)

// traffic is what a session has only while it is awake: connected, owed messages, or in the middle of a QoS 2 exchange.
// Guarded by Session.mutex.
//
//	asleep ─attach, a message to queue, Take; at the start a queue or QoS 2 record → wake─→ awake
//	awake  ─detached, and nothing of that is left → unlock─→ asleep
//
// What outlasts it is in Session. One that has ended stays awake until it is gone: what was sent decides what is handed
// over.
type traffic struct {
	outlet mqtt.Outlet // nil while detached
	in     inbound
	out    outbound
	batch  *batch.Batch // what unlock commits; nil = nothing was written

	ages overflow.Ages // of what is queued
	jam  *jam          // what its bound has cost; nil = nothing so far

	kept     int           // bytes of a record that is there for the will alone; 0 = there is none
	writing  int           // batches of others that will still bring records of this session
	soonest  int64         // the first expiry among what a sweep looks at, in stored time; 0 = none known
	began    time.Duration // when the queue did
	swept    time.Duration // when the tail was looked through last, or began
	cut      *cut          // the step of a trim or a sweep that is not stable yet; nil = none
	looking  bool          // a worker reads a step of a sweep
	sweeping *cut          // the last step of a sweep that goes on; nil = none does
	trims    bool          // the queue is above its bound, and the oldest give way
	passed   uint64        // messages of the tail before it do not give way

	removed    bool     // the operator ends the session
	discarding bool     // the session has ended, and leftovers are being removed
	portion    *portion // the step of discard that is not stable yet; nil = none
}

// wakeLocked returns the traffic, and begins it if there is none. A session without traffic has nothing queued, so all
// four sequence numbers start at next. A job that comes too late wakes the session for nothing, until its unlock. The
// caller keeps the pointer no longer than the lock.
func (s *Session) wakeLocked() *traffic {
	if s.traffic == nil {
		s.traffic = &traffic{began: s.m.clock(),
			out: outbound{next: s.next, sent: s.next, maybeSent: s.next, end: s.next,
				lim: &s.m.lim, memory: !s.durable()}}
		s.traffic.swept = s.traffic.began
	}
	return s.traffic
}

// idle reports whether the session can do without: there is no connection, nothing is owed either way, and nothing is
// under way that will ask for it.
func (t *traffic) idle() bool {
	return t.outlet == nil && t.kept == 0 && t.out.count == 0 && t.writing == 0 && t.in.steps.Len() == 0 && !t.out.cutting
}

// batchLocked is the batch that unlock commits.
func (s *Session) batchLocked() *batch.Batch {
	t := s.wakeLocked()
	if t.batch == nil {
		t.batch = s.m.cfg.Store.NewBatch()
	}
	return t.batch
}

// outletLocked is the connection's; nil while there is none.
func (s *Session) outletLocked() mqtt.Outlet {
	if s.traffic == nil {
		return nil
	}
	return s.traffic.outlet
}

// sentLocked is outbound's sent and maybeSent. While the session is asleep every earlier message counts as possibly
// sent: that matters only for records that come back after a crash because the bin still had them.
func (s *Session) sentLocked() (sent, maybeSent uint64) {
	if t := s.traffic; t != nil {
		return t.out.sent, t.out.maybeSent
	}
	return s.next, s.next
}
