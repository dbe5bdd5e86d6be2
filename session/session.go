package session

import (
	"sync"
	"sync/atomic"
	"time"

	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// Session implements mqtt.Session. Many sleep: it holds pointers to what few of them need.
//
//	new ─Open→ connected ⇄ detached ─expiry, Clean, expiry 0→ ended
type Session struct {
	m        *Manager
	clientID string
	number   uint64 // names its records; 0 = not durable
	alarm    alarm  // guarded by timers.mu
	online   atomic.Bool

	mu       sync.Mutex
	durable  bool
	ended    bool // takes nothing any more
	queued   bool // in jobs
	wanted   job
	outlet   mqtt.Outlet // nil while detached
	expiry   time.Duration
	detached time.Duration // when it was; of Manager.clock
	will     *will
	filters  filters
	in       inbound
	out      outbound
	writing  int           // batches of others that will still bring records of this session
	soonest  int64         // the first expiry in the tail, in stored time; 0 = none known
	swept    time.Duration // when the tail was looked through last
	cut      *cut          // the step that is not stable yet
	sweeping *cut          // where a sweep goes on
	batch    *store.Batch  // to be committed by unlock

	shares     bool     // messages came through shared subscriptions
	discarding bool     // leftovers are being removed
	portion    *portion // the one of discard that is not stable yet
}

func (m *Manager) newSession(clientID string, durable bool) *Session {
	s := &Session{m: m, clientID: clientID, durable: durable}
	s.out.lim = &m.lim
	s.out.memory = !durable
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

func (s *Session) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outlet != nil
}

func (s *Session) info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Info{ClientID: s.clientID, Connected: s.outlet != nil, Durable: s.durable, Expiry: s.expiry, Queued: s.out.count,
		QueuedBytes: s.out.bytes, InFlight: s.out.inFlight(), Subscriptions: s.filters.len()}
}

// unlock ends what began with mu.Lock: it commits what was written meanwhile.
func (s *Session) unlock() {
	b := s.batch
	s.batch = nil
	if on := s.out.running && !s.out.blocked; on != s.online.Load() {
		s.online.Store(on)
	}
	s.mu.Unlock()
	if b != nil {
		s.m.cfg.Store.Commit(b)
	}
}

// write is the batch that unlock commits. The caller holds s.mu.
func (s *Session) write() *store.Batch {
	if s.batch == nil {
		s.batch = s.m.cfg.Store.NewBatch()
	}
	return s.batch
}

// attachLocked connects out.
func (s *Session) attachLocked(out mqtt.Outlet, req *mqtt.OpenRequest) {
	s.outlet = out
	s.expiry = s.m.cfg.clamp(req.Expiry)
	s.will = newWill(req, s.clientID)
	s.out.keep = !s.durable && s.expiry != 0
	s.out.attach(min(int(req.ReceiveMaximum), s.m.cfg.MaxInflight))
}

// detachLocked takes the connection off.
func (s *Session) detachLocked() {
	s.outlet = nil
	s.detached = s.m.clock()
	s.in.detach()
	s.out.detach()
}

// Resume starts or goes on sending.
func (s *Session) Resume() {
	s.mu.Lock()
	defer s.unlock()
	if s.outlet != nil {
		s.out.resume(s)
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

// Committed implements store.Waiter. It runs on the store's writer and never waits for it.
func (s *Session) Committed(arg uint64, err error) {
	s.mu.Lock()
	defer s.unlock()
	rest := arg & (1<<kindShift - 1)
	switch arg - rest {
	case kindQueued:
		s.writing--
		s.out.stored(rest, err == nil, s)
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
	if s.ended && s.durable && s.writing == 0 && s.cut == nil && !s.discarding {
		s.discarding = true
		s.need(jobDiscard)
	}
}

// failLocked ends the connection because the store does not keep what the next packet would promise.
func (s *Session) failLocked(what string, err error) {
	s.m.log.Error(what, "client", s.clientID, "error", err)
	if s.outlet != nil {
		s.outlet.Close(packet.UnspecifiedError)
	}
}

var _ mqtt.Session = (*Session)(nil)
