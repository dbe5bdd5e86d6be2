package retain

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"mangrove/internal/batch"
	"mangrove/internal/bytesread"
	"mangrove/internal/due"
	"mangrove/mqtt"
)

// entry is one retained message, or the wish to have none (gone). It does not change once it is in the
// trie, but for msg and the two lists it may be in.
type entry struct {
	topic   string
	id      uint64 // of the body in the store
	origin  mqtt.Origin
	expires due.Mark // At is in stored time; 0 = never
	size    int64
	gone    bool

	// msg is the message while it is in memory: always before it is stable and without a store, else
	// as long as the cache has room.
	msg atomic.Pointer[mqtt.Message]

	cached       bool // in the cache's list; Store.mu
	newer, older *entry
}

// Due implements due.Item. Only visible entries wait, under Store.mu.
func (e *entry) Due() *due.Mark { return &e.expires }

// newEntry makes the entry of m, which is shared and may live in a buffer: own is a message of our own.
func (s *Store) newEntry(m, own *mqtt.Message) *entry {
	e := &entry{topic: own.Topic, id: own.ID, origin: own.Origin, size: int64(own.Size())}
	if !m.Expires.IsZero() {
		e.expires.At = max(1, s.clock.Stamp(m.Expires))
	}
	e.msg.Store(own)
	return e
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

// The record of a topic, after the body's id that the store puts first:
//
//	form 1 (= 1)  origin store uvarint  origin seq uvarint  size uvarint  expires uvarint (0 = never)
const recordForm = 1

func (e *entry) appendRecord(dst []byte) []byte {
	dst = append(dst, recordForm)
	dst = binary.AppendUvarint(dst, e.origin.Store)
	dst = binary.AppendUvarint(dst, e.origin.Seq)
	dst = binary.AppendUvarint(dst, uint64(e.size))
	return binary.AppendUvarint(dst, uint64(e.expires.At))
}

// decodeRecord makes the entry of a record. Bytes after its fields are skipped.
func decodeRecord(topic, value []byte) (*entry, error) {
	id, rest, ok := batch.RefID(value)
	if !ok || len(rest) == 0 || rest[0] != recordForm {
		return nil, fmt.Errorf("record of the retained message of %q is damaged", topic)
	}
	r := bytesread.New(rest[1:])
	e := &entry{topic: string(topic), id: id, origin: mqtt.Origin{Store: r.Uvarint(), Seq: r.Uvarint()}}
	e.size = int64(r.Uvarint())
	e.expires.At = int64(r.Uvarint())
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("record of the retained message of %q: %w", topic, err)
	}
	return e, nil
}
