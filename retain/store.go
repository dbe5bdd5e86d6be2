package retain

import (
	"fmt"
	"sync"

	"mangrove/internal/batch"
	"mangrove/internal/due"
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
	s := &Store{cfg: cfg, clock: due.ClockOf(cfg.Store), count: newCounters(cfg.Metrics), stop: make(chan struct{}), done: make(chan struct{})}
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
	var broken error
	err := s.cfg.Store.Scan(batch.Retained, nil, nil, func(k, v []byte) bool {
		var e *entry
		if e, broken = decodeRecord(k, v); broken != nil {
			return false
		}
		s.showLocked(s.root.grow(e.topic), e)
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
// retained already (same Origin) changes nothing. Above a bound r is refused with mqtt.ErrQuota.
func (s *Store) Set(m *mqtt.Message, r *mqtt.Receipt) {
	e, body, err := s.proposal(m)
	if err != nil {
		r.Refuse(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.visibleLocked(m.Topic)
	if !s.changesLocked(old, e, m.Origin) {
		return
	}
	if !s.hasRoomLocked(old, e) {
		s.count.refused.Inc()
		r.Refuse(fmt.Errorf("retain %q: %w", m.Topic, mqtt.ErrQuota))
		return
	}
	if s.cfg.Store == nil {
		s.replaceLocked(e)
		return
	}
	s.proposeLocked(e)
	s.writeLocked(e, body, r.Batch())
}

// proposal is what m asks for. A message without payload, or past its expiry, is the wish for none
// [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11].
func (s *Store) proposal(m *mqtt.Message) (e *entry, body []byte, err error) {
	if len(m.Payload) == 0 || m.Expired(s.cfg.Now()) {
		return &entry{topic: m.Topic, gone: true}, nil, nil
	}
	mine, body, err := own(m)
	if err != nil {
		return nil, nil, err
	}
	return s.newEntry(m, mine), body, nil
}

// changesLocked reports whether e changes anything. A repeat of what is not stable yet is written again, since its
// publisher is to be acknowledged only when it is.
func (s *Store) changesLocked(old, e *entry, from mqtt.Origin) bool {
	if s.unsettledLocked(e.topic) {
		return true
	}
	if old == nil {
		return !e.gone
	}
	return from == (mqtt.Origin{}) || old.origin != from
}

func (s *Store) visibleLocked(topic string) *entry {
	if n := s.root.find(topic); n != nil {
		return n.visible
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
	messages, bytes := s.messages+1, s.bytes+e.size
	if old != nil {
		messages, bytes = messages-1, bytes-old.size
	}
	return messages <= s.cfg.MaxMessages && (bytes <= s.cfg.MaxBytes || old != nil && e.size <= old.size)
}

// replaceLocked is Set without a store.
func (s *Store) replaceLocked(e *entry) {
	n := s.root.grow(e.topic)
	if e.gone {
		e = nil
	}
	s.showLocked(n, e)
	n.prune()
}

// writeLocked puts e's record into b. The record holds the reference to the body.
func (s *Store) writeLocked(e *entry, body []byte, b *batch.Batch) {
	key := []byte(e.topic)
	if e.gone {
		b.Delete(batch.Retained, key)
	} else {
		b.PutRef(batch.Retained, key, e.id, e.appendRecord(nil), func(dst []byte) []byte { return append(dst, body...) })
	}
	b.Notify(&change{s, e}, 0)
}

// Holds reports whether the message retained for topic is the one of that origin, stable or not. It reads nothing
// from disk. An expired one counts until it is swept.
func (s *Store) Holds(topic string, o mqtt.Origin) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.visibleLocked(topic)
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

// Close ends the sweeping. It may be called twice. Batches that hold a Set must be told before
// the node's store is closed, as that does by itself.
func (s *Store) Close() error {
	s.close.Do(func() { close(s.stop) })
	<-s.done
	return nil
}
