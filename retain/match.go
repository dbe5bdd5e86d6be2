package retain

import (
	"bytes"
	"math"
	"slices"
	"sync"
	"time"

	"mangrove/mqtt"
)

// matchStep is how many messages are read from the store at a time: the pieces of memory a Match needs,
// and for how long it may hold up the store's writer.
const matchStep = 128

// Match visits the retained messages whose topic matches filter (without $share), expired ones
// left out, while visit returns true, in no particular order. The messages are shared: not to be changed.
// visit may call the Store. A message replaced meanwhile may be left out: whoever subscribed before asking gets the new
// one anyway.
func (s *Store) Match(filter string, now time.Time, visit func(*mqtt.Message) bool) {
	s.Replay(filter, now, math.MaxUint64, func(m *mqtt.Message, _ mqtt.Retention) bool { return visit(m) })
}

// Replay is Match without what was set after since, and tells visit whether the message was replaced meanwhile.
func (s *Store) Replay(filter string, now time.Time, since uint64, visit func(*mqtt.Message, mqtt.Retention) bool) {
	at := s.clock.Stamp(now)
	r := scratches.Get().(*scratch)
	defer r.free()
	s.mu.RLock()
	r.found = s.root.match(filter, false, r.found)
	s.mu.RUnlock()
	r.found = slices.DeleteFunc(r.found, func(e *entry) bool { return e.id > since })
	for piece := range slices.Chunk(r.found, matchStep) {
		for i, m := range s.messagesOf(piece, r.step[:len(piece)], at) {
			if m != nil && !visit(s.dated(m, piece[i]), piece[i]) {
				return
			}
		}
	}
}

// scratch is the memory that one Match needs: many find as much as the one before.
type scratch struct {
	found []*entry
	step  [matchStep]*mqtt.Message
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// maxScratch is the number of entries from which on a scratch is left to the garbage collector.
const maxScratch = 1 << 16

func (r *scratch) free() {
	if cap(r.found) > maxScratch {
		return
	}
	clear(r.found) // nothing is kept alive
	clear(r.step[:])
	r.found = r.found[:0]
	scratches.Put(r)
}

// messagesOf puts the messages of entries into got; nil for those that have expired or were removed meanwhile.
func (s *Store) messagesOf(entries []*entry, got []*mqtt.Message, now int64) []*mqtt.Message {
	clear(got)
	var ids []uint64
	var places []int
	for i, e := range entries {
		if e.expired(now) {
			continue
		}
		if got[i] = e.msg.Load(); got[i] == nil {
			ids, places = append(ids, e.id), append(places, i)
		}
	}
	if len(ids) == 0 {
		return got
	}
	err := s.cfg.Store.Bodies(ids, func(i int, body []byte) bool {
		if body != nil {
			got[places[i]] = s.decode(entries[places[i]], bytes.Clone(body))
		}
		return true
	})
	if err != nil {
		s.count.unread.Add(len(ids))
		s.cfg.Log.Error("retained messages cannot be read", "count", len(ids), "error", err)
	}
	s.remember(entries, places, got)
	return got
}

// decode reads a body, which becomes the message's.
func (s *Store) decode(e *entry, body []byte) *mqtt.Message {
	m, _, err := mqtt.DecodeMessage(body)
	if err != nil {
		s.count.unread.Inc()
		s.cfg.Log.Error("retained message cannot be read", "topic", e.topic, "error", err)
		return nil
	}
	m.ID = e.id
	return m
}

// remember keeps what was read in the cache, if it fits, and tells of bodies that should have been there. What was read
// is stable: an entry that is not has its message in memory.
func (s *Store) remember(entries []*entry, places []int, got []*mqtt.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range places {
		e := entries[i]
		n := s.root.find(e.topic)
		if n == nil || n.visible != e {
			continue
		}
		if got[i] == nil {
			s.count.unread.Inc()
			s.cfg.Log.Error("retained message is missing in the store", "topic", e.topic, "body", e.id)
		} else if s.cache.fits(e) && e.msg.CompareAndSwap(nil, got[i]) {
			s.cache.add(e)
		}
	}
}
