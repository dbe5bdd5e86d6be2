package session

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/bell"
	"mangrove/internal/due"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// Manager implements mqtt.Sessions. Safe for concurrent use.
//
// Locks, in the order in which they may be taken: gates (one client's life: Open, Detach, Subscribe, expiry),
// Session.mutex, then any of the small ones (mu, timers, jobs, bin). The Router is called with a gate held at most;
// Store.Commit never under Session.mutex, because it may answer at once.
type Manager struct {
	cfg    Config
	log    *slog.Logger
	count  *counters
	lim    limits
	start  time.Time
	stored due.Clock // of deadlines in the store
	gates  gates
	timers timers
	jobs   jobs
	bin    bin

	stopping atomic.Bool  // see Stopping
	jammed   atomic.Int64 // sessions whose queue is at its bound
	wills    keptWills

	stop  chan struct{}
	ended sync.WaitGroup
	once  sync.Once

	mu       sync.Mutex
	closed   bool
	sessions map[string]*Session
}

// New returns a Manager with the durable sessions of cfg.Store: their subscriptions are registered with cfg.Router, and
// those that were connected when the node ended count as detached now.
func New(cfg Config) (*Manager, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Manager{
		cfg:      cfg,
		log:      cfg.Log,
		count:    newCounters(cfg.Metrics),
		lim:      limits{cfg.WindowMessages, cfg.WindowBytes},
		start:    cfg.Now(),
		stored:   due.ClockOf(cfg.Store),
		stop:     make(chan struct{}),
		sessions: make(map[string]*Session),
	}
	m.jobs.init()
	m.timers.look = bell.New()
	m.bin.init(m)
	if cfg.Store != nil {
		if err := m.load(); err != nil {
			return nil, fmt.Errorf("load sessions: %w", err)
		}
	}
	m.gauges(cfg.Metrics)
	m.ended.Add(1 + cfg.Workers)
	go m.runTimers() // ends with Close, which waits
	for range cfg.Workers {
		go m.work() // ends with Close, which waits
	}
	return m, nil
}

// clock is the time since the manager began; it does not jump with the wall clock.
func (m *Manager) clock() time.Duration { return m.cfg.Now().Sub(m.start) }

// lookup returns the session of a client, or nil. [MQTT-3.1.3-2] [MQTT311-3.1.3-2]
func (m *Manager) lookup(clientID string) *Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[clientID]
}

// admit tells why no (more) session can be opened.
func (m *Manager) admit(clientID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return &packet.Error{Reason: packet.ServerShuttingDown, Detail: "sessions are closed"}
	}
	if m.sessions[clientID] == nil && len(m.sessions) >= m.cfg.MaxSessions {
		return &packet.Error{Reason: packet.QuotaExceeded,
			Detail: fmt.Sprintf("there are %d sessions already", m.cfg.MaxSessions)}
	}
	return nil
}

// enter puts s under its client id; leave takes it off if it is still there.
func (m *Manager) enter(s *Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[s.clientID] = s
}

func (m *Manager) leave(s *Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[s.clientID] == s {
		delete(m.sessions, s.clientID)
	}
}

func (m *Manager) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// eachStep is how many sessions each gathers with the Manager's lock held.
const eachStep = 256

// each calls fn for every session that is there from beginning to end. No lock is held: fn may take a session's.
// Sessions are gathered some at a time, because statistics look at all of them every few seconds.
func (m *Manager) each(fn func(*Session)) {
	var some [eachStep]*Session
	n := 0
	call := func() {
		for _, s := range some[:n] {
			fn(s)
		}
		n = 0
	}
	m.mu.Lock()
	for _, s := range m.sessions { // may change between two rounds
		if some[n], n = s, n+1; n == len(some) {
			m.mu.Unlock()
			call()
			m.mu.Lock()
		}
	}
	m.mu.Unlock()
	call()
}

// Count tells how many sessions there are, and how many of them are connected.
func (m *Manager) Count() (sessions, connected int) {
	m.each(func(s *Session) {
		sessions++
		if s.connected() {
			connected++
		}
	})
	return sessions, connected
}

// Queued tells how many messages the sessions are owed, those in flight included, and their bytes.
func (m *Manager) Queued() (messages int, bytes int64) {
	m.each(func(s *Session) {
		info := s.info()
		messages += info.Queued
		bytes += info.QueuedBytes
	})
	return messages, bytes
}

// Expired tells how many sessions have ended by their expiry since the start.
func (m *Manager) Expired() uint64 { return m.count.expired.Get() }

// Stopping says that the node is about to close: subscriptions of sessions that end from now on are left to the Router,
// which goes as well. To take out a million of them would be longer than a node may take to close. An ended session
// takes nothing.
func (m *Manager) Stopping() { m.stopping.Store(true) }

// Kept lists the filters that durable sessions want, each once, without the groups of shared subscriptions. After Stopping no
// acknowledged one is missing.
func (m *Manager) Kept() ([]string, error) {
	all := map[string]struct{}{}
	err := m.cfg.Store.Scan(batch.Subscriptions, nil, nil, func(k, _ []byte) bool {
		if len(k) > 8 {
			all[topic.CountedFilter(string(k[8:]))] = struct{}{}
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", err)
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// Close publishes the wills of sessions that are not durable and stops the goroutines; it may be called twice, both
// wait. Durable sessions stay as they are in the store: those that are still connected count as detached when the node
// starts again, and their wills are published then.
func (m *Manager) Close() {
	m.once.Do(func() {
		m.mu.Lock()
		m.closed = true
		m.mu.Unlock()
		close(m.stop)
		m.jobs.close()
		m.ended.Wait()
		m.lastWills()
		m.bin.drain()
	})
	m.ended.Wait()
}

// lastWills publishes the wills of sessions that end with the node.
func (m *Manager) lastWills() {
	m.each(func(s *Session) {
		if s.durable() {
			return
		}
		s.lock()
		w := s.will
		s.will = nil
		s.unlock()
		b := m.newBatch()
		m.publishWill(b, w)
		s.erase(b)
		m.commitLater(b)
	})
}

var _ mqtt.Sessions = (*Manager)(nil)
