package retain

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"mangrove/internal/store"
	"mangrove/mqtt"
)

// entry is one retained message, or the wish to have none (gone). It does not change once it is in the
// trie, but for msg and the two lists it may be in.
type entry struct {
	topic   string
	id      uint64 // of the body in the store
	origin  mqtt.Origin
	expires int64 // in stored time, see Store.stamp; 0 = never
	size    int64
	gone    bool

	// msg is the message while it is in memory: always before it is stable and without a store, else
	// as long as the cache has room.
	msg atomic.Pointer[mqtt.Message]

	cached       bool // in the cache's list; Store.mu
	newer, older *entry
	heapAt       int // place in the expiry heap plus one; 0 = not there; Store.mu
}

// newEntry makes the entry of m, which is shared and may live in a buffer: own is a message of our own.
func (s *Store) newEntry(m, own *mqtt.Message) *entry {
	e := &entry{topic: own.Topic, id: own.ID, origin: own.Origin, size: int64(own.Size())}
	if !m.Expires.IsZero() {
		e.expires = max(1, s.stamp(m.Expires))
	}
	e.msg.Store(own)
	return e
}

func (e *entry) expired(now int64) bool { return e.expires != 0 && now >= e.expires }

// stamp is t as it is stored: a deadline that does not jump with the wall clock, see store.Store.Stamp.
func (s *Store) stamp(t time.Time) int64 {
	if s.cfg.Store == nil {
		return t.UnixMilli()
	}
	return s.cfg.Store.Stamp(t)
}

// dated is m, which is e's, with the deadline as seen from now; what m says jumps with the wall clock.
func (s *Store) dated(m *mqtt.Message, e *entry) *mqtt.Message {
	if m == nil || e.expires == 0 || s.cfg.Store == nil {
		return m
	}
	mine := *m
	mine.Expires = s.cfg.Store.Time(e.expires)
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

// The record of a topic, after the body's id that the store puts first:
//
//	form 1 (= 1)  origin store uvarint  origin seq uvarint  size uvarint  expires uvarint (0 = never)
const recordForm = 1

func (e *entry) appendRecord(dst []byte) []byte {
	dst = append(dst, recordForm)
	dst = binary.AppendUvarint(dst, e.origin.Store)
	dst = binary.AppendUvarint(dst, e.origin.Seq)
	dst = binary.AppendUvarint(dst, uint64(e.size))
	return binary.AppendUvarint(dst, uint64(e.expires))
}

// decodeRecord makes the entry of a record.
func decodeRecord(topic, value []byte) (*entry, error) {
	id, rest, ok := store.RefID(value)
	if !ok || len(rest) == 0 || rest[0] != recordForm {
		return nil, fmt.Errorf("record of the retained message of %q is damaged", topic)
	}
	var fields [4]uint64
	rest = rest[1:]
	for i := range fields {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return nil, fmt.Errorf("record of the retained message of %q ends early", topic)
		}
		fields[i], rest = v, rest[n:]
	}
	return &entry{
		topic:   string(topic),
		id:      id,
		origin:  mqtt.Origin{Store: fields[0], Seq: fields[1]},
		size:    int64(fields[2]),
		expires: int64(fields[3]),
	}, nil
}
