package retain

import (
	"fmt"
	"slices"
	"sync/atomic"

	"mangrove/internal/due"
	"mangrove/internal/hlc"
	"mangrove/mqtt"
)

// entry is one retained message, or the clearing of a topic (gone). It does not change once it is in the
// trie, but for msg and the two lists it may be in.
type entry struct {
	topic   string
	id      uint64 // of the body in the store; 0 = a clearing
	origin  mqtt.Origin
	time    hlc.Time // with origin its version
	expires due.Mark // At is in stored time, 0 = never; of a clearing when it is forgotten
	size    int64
	gone    bool
	here    bool // clients of this node publish to the topic, or did so before

	replaced atomic.Bool // it is not what is known of its topic any more, or not yet again

	// msg is the message while it is in memory: always before it is stable and without a store, else
	// as long as the cache has room.
	msg atomic.Pointer[mqtt.Message]

	cached       bool // in the cache's list; Store.mu
	newer, older *entry
}

// Current implements mqtt.Retention.
func (e *entry) Current() bool { return !e.replaced.Load() }

// Due implements due.Item. Only visible entries wait, under Store.mu.
func (e *entry) Due() *due.Mark { return &e.expires }

// newEntry makes the entry of m, which is shared and may live in a buffer: own is a message of our own.
func (s *Store) newEntry(m, own *mqtt.Message) *entry {
	e := &entry{topic: own.Topic, id: own.ID, origin: own.Origin, time: own.Version, size: int64(own.Size()), here: s.publishedHere(m)}
	if !m.Expires.IsZero() {
		e.expires.At = max(1, s.clock.Stamp(m.Expires))
	}
	e.msg.Store(own)
	return e
}

// version is e's; that of nothing (nil) is older than all.
func (e *entry) version() mqtt.Version {
	if e == nil {
		return mqtt.Version{}
	}
	return mqtt.Version{Time: e.time, Origin: e.origin}
}

// publishedHere reports whether a client of this node published m, now or in an earlier life of the folder: then it comes back
// from a neighbour, which does not send it to whoever subscribes here.
func (s *Store) publishedHere(m *mqtt.Message) bool {
	return isLocal(m) || slices.Contains(s.lives, m.Origin.Life)
}

// isLocal reports whether m comes from a client of this node.
func isLocal(m *mqtt.Message) bool {
	return m.From.Scope&(mqtt.ScopeEdge|mqtt.ScopePeer|mqtt.ScopeUplink) == 0
}

func (e *entry) expired(now int64) bool { return e.expires.At != 0 && now >= e.expires.At }

// dated is m, which is e's, with the deadline as seen from now; what m says jumps with the wall clock.
func (s *Store) dated(m *mqtt.Message, e *entry) *mqtt.Message {
	if m == nil || e.expires.At == 0 || s.cfg.Store == nil {
		return m
	}
	mine := *m
	mine.Expires = s.clock.Time(e.expires.At)
	return &mine
}

// own copies m into memory of its own, by way of its bytes at rest.
func own(m *mqtt.Message) (copied *mqtt.Message, body []byte, err error) {
	body = mqtt.AppendMessage(make([]byte, 0, m.Size()), m)
	copied, _, err = mqtt.DecodeMessage(body)
	if err != nil {
		return nil, nil, fmt.Errorf("retain %q: %w", m.Topic, err)
	}
	copied.ID = m.ID
	return copied, body, nil
}
