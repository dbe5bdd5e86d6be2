package retain

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"mangrove/internal/batch"
	"mangrove/internal/due"
	"mangrove/internal/hlc"
	"mangrove/mqtt"
)

// Store implements mqtt.Retained. Safe for concurrent use.
type Store struct {
	cfg   Config
	clock due.Clock // of stored time
	count counters

	mu       sync.RWMutex
	root     node
	messages int              // visible
	bytes    int64            // of these
	expiry   due.Heap[*entry] // the visible entries that expire; deadlines in stored time
	cache    cache

	clearings due.Heap[*entry] // the clearings that are known, by when they are forgotten
	full      bool             // at a bound, which has been told
	versions  hlc.Clock
	changes   atomic.Uint64
	lives     []uint64 // of the data folder: what was numbered in one of them was published here. Does not change

	stop  chan struct{}
	done  chan struct{}
	close sync.Once
}

var _ mqtt.Retained = (*Store)(nil)

// New returns a Store with what cfg.Store holds of earlier runs.
func New(cfg Config) (*Store, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, clock: due.ClockOf(cfg.Store), count: newCounters(cfg.Metrics),
		stop: make(chan struct{}), done: make(chan struct{})}
	s.cache.limit = cfg.CacheBytes
	if cfg.Store != nil {
		if err := s.load(); err != nil {
			return nil, fmt.Errorf("load retained messages: %w", err)
		}
	}
	s.watch(cfg.Metrics)
	go s.sweeper() // ends with Close, which waits for done
	return s, nil
}

// load reads the index. The messages stay on disk.
func (s *Store) load() error {
	s.lives = s.cfg.Store.Lives()
	var broken error
	err := s.cfg.Store.Scan(batch.Retained, nil, nil, func(k, v []byte) bool {
		var e *entry
		if e, broken = decodeRecord(k, v); broken != nil {
			return false
		}
		e.here = e.here || e.time == hlc.First && slices.Contains(s.lives, e.origin.Life) // form 1 does not say
		s.showLocked(s.root.grow(e.topic), e)
		s.versions.Hold(e.time)
		return true
	})
	if err == nil {
		err = broken
	}
	return err
}

// Set keeps m in place of what was there [MQTT-3.3.1-5] [MQTT311-3.3.1-5] [MQTT311-3.3.1-7], or forgets its topic when
// the payload is empty [MQTT-3.3.1-6]. It becomes visible at
// once, and stable with r's batch; when that is refused, what was there before comes back. A message that is
// retained already (same Origin) changes nothing. One that has no Version gets one above what is held. One that is older than what is
// held, message or clearing, changes nothing either and loses Retain: it goes on as a message that is not retained.
//
// Above a bound r is refused with mqtt.ErrQuota, if m is of this node's client; what comes from elsewhere goes on, and the topic is
// forgotten here.
func (s *Store) Set(m *mqtt.Message, r *mqtt.Receipt) {
	s.stampVersion(m)
	e, body, err := s.proposal(m)
	if err != nil {
		r.Refuse(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.latestLocked(m.Topic)
	switch c := e.version().Compare(old.version()); {
	case c < 0:
		m.Retain = false
		s.count.outdated.Inc()
		return
	case c == 0 && !s.unsettledLocked(m.Topic):
		return
	}
	if e.here = e.here || old != nil && old.here; e.gone && old == nil {
		s.blindLocked(e)
	}
	if !s.hasRoomLocked(old, e) {
		s.tellFullLocked()
		if isLocal(m) {
			r.Refuse(fmt.Errorf("retain %q: %w", m.Topic, mqtt.ErrQuota))
			return
		}
		e, body = s.outgrownLocked(old), nil
	}
	switch {
	case e == nil:
	case s.cfg.Store == nil:
		s.replaceLocked(e)
	default:
		s.proposeLocked(e)
		s.writeLocked(e, body, r.Batch())
	}
}

// proposal is what m asks for. A message without payload, or past its expiry, is the wish for none
// [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11].
func (s *Store) proposal(m *mqtt.Message) (e *entry, body []byte, err error) {
	if len(m.Payload) == 0 || m.Expired(s.cfg.Now()) {
		return s.newClearing(m), nil, nil
	}
	mine, body, err := own(m)
	if err != nil {
		return nil, nil, err
	}
	return s.newEntry(m, mine), body, nil
}

// latestLocked is what is known of a topic: its message, its clearing, or nil.
func (s *Store) latestLocked(topic string) *entry {
	if n := s.root.find(topic); n != nil {
		return n.latest()
	}
	return nil
}

// unsettledLocked reports whether changes of the topic are not stable yet.
func (s *Store) unsettledLocked(topic string) bool {
	n := s.root.find(topic)
	return n != nil && n.open != nil
}

// hasRoomLocked reports whether e may take the place of old (nil = nothing).
func (s *Store) hasRoomLocked(old, e *entry) bool {
	if e.gone {
		return true
	}
	if old != nil && old.gone {
		old = nil
	}
	messages, bytes := s.messages+1, s.bytes+e.size
	if old != nil {
		messages, bytes = messages-1, bytes-old.size
	}
	return messages <= s.cfg.MaxMessages && (bytes <= s.cfg.MaxBytes || old != nil && e.size <= old.size)
}

// tellFullLocked counts a message above a bound, and tells of the first.
func (s *Store) tellFullLocked() {
	s.count.refused.Inc()
	if !s.full {
		s.full = true
		s.cfg.Log.Warn("retained messages are at their bound: more are not kept", "messages", s.messages, "bytes", s.bytes,
			"max messages", s.cfg.MaxMessages, "max bytes", s.cfg.MaxBytes)
	}
}

// outgrownLocked is what takes the place of old when what is newer has no room: nothing, so that nobody is given what is known to be old.
func (s *Store) outgrownLocked(old *entry) *entry {
	if old == nil || old.gone {
		return nil
	}
	return s.clearingOf(old)
}

// replaceLocked is Set without a store.
func (s *Store) replaceLocked(e *entry) {
	n := s.root.grow(e.topic)
	s.showLocked(n, e)
	if e.gone {
		s.boundClearingsLocked()
	}
	n.prune()
}

// writeLocked puts e's record into b. The record of a message holds the reference to its body.
func (s *Store) writeLocked(e *entry, body []byte, b *batch.Batch) {
	key := []byte(e.topic)
	if e.gone {
		b.Put(batch.Retained, key, e.appendRecord(make([]byte, 8)))
		s.boundClearingsLocked()
	} else {
		b.PutRef(batch.Retained, key, e.id, e.appendRecord(nil),
			func(dst []byte) []byte { return append(dst, body...) })
	}
	b.Notify(&change{s, e}, 0)
}

// Holds reports whether what is known of topic, message or clearing, is of that origin, stable or not. It reads nothing
// from disk.
func (s *Store) Holds(topic string, o mqtt.Origin) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.latestLocked(topic)
	return e != nil && e.origin == o
}

// Len is the number of retained messages, expired ones that were not swept yet included.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.messages
}

// Bytes is what they hold, as counted against Config.MaxBytes.
func (s *Store) Bytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}

// Cleared is the number of clearings that are known.
func (s *Store) Cleared() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.clearings.Len()
}

// Close ends the sweeping. It may be called twice. Batches that hold a Set must be told before
// the node's store is closed, as that does by itself.
func (s *Store) Close() error {
	s.close.Do(func() { close(s.stop) })
	<-s.done
	return nil
}
