package session

import (
	"sync"
	"sync/atomic"
	"time"

	"mangrove/internal/due"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// Session implements mqtt.Session.
//
//	new ─Open→ connected ⇄ detached ─expiry, Clean, expiry 0→ ended
//
// Most sessions of a large fleet sleep, detached and owed nothing, and have only what is here; the rest is in traffic,
// which comes and goes.
type Session struct {
	m        *Manager
	clientID string
	number   uint64   // names its records; 0 = not durable
	alarm    due.Mark // guarded by timers.mu
	online   atomic.Bool

	mutex     sync.Mutex // by lock and unlock only, which guard what follows
	ended     bool       // takes nothing any more
	shares    bool       // messages came through shared subscriptions
	scheduled bool       // in jobs
	wanted    job
	expiry    time.Duration
	detached  time.Duration // when it was; of Manager.clock
	will      *will
	filters   filters
	next      uint64   // seq of the next message, while asleep
	traffic   *traffic // nil = asleep
}

func (m *Manager) newSession(clientID string, durable bool) *Session {
	s := &Session{m: m, clientID: clientID}
	if durable {
		s.number = m.cfg.Store.NextID()
	}
	return s
}

// ClientID is the MQTT client id.
func (s *Session) ClientID() string { return s.clientID }

// Scope is ScopeClient.
func (s *Session) Scope() mqtt.Scope { return mqtt.ScopeClient }

// Online reports whether a message would leave at once: there is a connection and its output buffer has room.
func (s *Session) Online() bool { return s.online.Load() }

// durable reports whether it outlives its connection in the store. s may be nil.
func (s *Session) durable() bool { return s != nil && s.number != 0 }

func (s *Session) connected() bool {
	s.lock()
	defer s.unlock()
	return s.outletLocked() != nil
}

// attachLocked connects out.
func (s *Session) attachLocked(out mqtt.Outlet, req *mqtt.OpenRequest) {
	s.expiry = s.m.cfg.clamp(req.Expiry)
	s.will = newWill(req, s.clientID)
	t := s.wakeLocked()
	t.outlet = out
	t.out.keep = !s.durable() && s.expiry != 0
	t.out.attach(min(int(req.ReceiveMaximum), s.m.cfg.MaxInflight))
}

// detachLocked takes the connection off.
func (s *Session) detachLocked() {
	s.detached = s.m.clock()
	t := s.traffic
	t.outlet = nil
	t.in.detach()
	t.soonest = earlier(t.soonest, t.out.soonestUnsent())
	t.out.detach()
	t.passed = 0 // what was in memory may give way
	t.ages.Note(t.out.next, t.out.first(), s.m.cfg.Now())
}

// Resume starts or goes on sending.
func (s *Session) Resume() {
	s.lock()
	defer s.unlock()
	if s.outletLocked() != nil {
		s.traffic.out.resume(locked{s})
	}
}

// Kinds of what a Session waits for, in the upper bits of Committed's arg.
const (
	kindShift           = 56
	kindQueued   uint64 = 0 << kindShift // a queue record; rest: seq
	kindReleased uint64 = 1 << kindShift // that PUBREC came; rest: seq
	kindComplete uint64 = 2 << kindShift // that an id was forgotten; rest: packet id
	kindCut      uint64 = 3 << kindShift // records cut out of the tail
	kindDiscard  uint64 = 4 << kindShift // a step of discard
)

// Committed implements batch.Waiter. It runs on the store's writer and never waits for it. What is waited for keeps the
// session awake.
func (s *Session) Committed(arg uint64, err error) {
	s.lock()
	defer s.unlock()
	rest := arg & (1<<kindShift - 1)
	switch arg - rest {
	case kindQueued:
		s.traffic.writing--
		s.traffic.out.stored(rest, err == nil, locked{s})
		if s.traffic.trims {
			s.needLocked(jobTrim) // it can go now
		}
	case kindReleased:
		s.releasedLocked(rest, err)
	case kindComplete:
		s.completedLocked(uint16(rest), err)
	case kindCut:
		s.cutLocked(err)
	case kindDiscard:
		s.discardedLocked(err)
	}
	s.leftoversLocked()
}

// leftoversLocked has an ended session's records removed, when no more of them can come.
func (s *Session) leftoversLocked() {
	if !s.ended || !s.durable() {
		return
	}
	if t := s.wakeLocked(); t.writing == 0 && t.cut == nil && !t.discarding {
		t.discarding = true
		s.needLocked(jobDiscard)
	}
}

// failLocked ends the connection because the store does not keep what the next packet would promise.
func (s *Session) failLocked(what string, err error) {
	s.m.log.Error(what, "client", s.clientID, "error", err)
	if out := s.outletLocked(); out != nil {
		out.Close(packet.UnspecifiedError)
	}
}

var _ mqtt.Session = (*Session)(nil)
