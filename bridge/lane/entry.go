package lane

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/bytesread"
	"mangrove/mqtt"
)

// Entry is one message or control record of a Queue.
type Entry struct {
	Pos     uint64        // given by the queue
	ID      uint64        // of the message's body in the store; 0 = a control record
	Size    int           // bytes that count
	Expires int64         // deadline in stored time (store.Store.Stamp); 0 = never
	QoS     byte          // to send it with
	Kind    byte          // of the item it is sent as, see frame.Item
	Keeps   bool          // it does not give way to later ones: see overflow.Rules.Keeps
	Edge    string        // the edge it is for, in a peer's queue; "" = for the peer
	Control []byte        // the bytes of a control record
	Msg     *mqtt.Message // the message, where it is in memory; nil = read the body
	state   entryState
	early   bool // may be sent before it is stable
}

type entryState byte

const (
	pending entryState = iota // in a batch that is not stable yet
	ready
	unwritten // in no batch yet
	dead      // its batch was refused, or it expired, or it was dropped: to be skipped
)

// Entry makes an entry of m, which has its body's id, to be given to Append. Its body is not in memory.
func (q *Queue) Entry(m *mqtt.Message, qos, kind byte) Entry {
	e := Entry{ID: m.ID, Size: m.Size(), QoS: qos, Kind: kind, Keeps: q.cfg.WhenFull.Keeps(m.Topic)}
	if !m.Expires.IsZero() {
		e.Expires = max(q.st.Stamp(m.Expires), 1)
	}
	return e
}

// Deadline is when e expires, as seen from now; zero = never. It does not jump with the wall clock, as the time in the
// message's bytes does.
func (q *Queue) Deadline(e *Entry) time.Time {
	if e.Expires == 0 {
		return time.Time{}
	}
	return q.st.Time(e.Expires)
}

// key is where a position lies in table LinkQueues: number 8, lane 1, position 8.
func (q *Queue) key(pos uint64) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 17), q.cfg.Num)
	key = append(key, frame.LaneDurable)
	return binary.BigEndian.AppendUint64(key, pos)
}

// entryStamped says that a record's deadline is stored time. Earlier versions wrote Unix milliseconds of the wall clock.
const entryStamped = 1 << 7

// entryKeeps says Entry.Keeps.
const entryKeeps = 1 << 6

// appendValue writes an entry without its position and body:
//
//	kind 1
//	qos 1             bits 0-1 QoS, bit 6 keeps, bit 7 expires is stored time
//	size, expires     uvarint
//	edge, control     uvarint length, bytes
func (e *Entry) appendValue(dst []byte) []byte {
	qos := e.QoS | entryStamped
	if e.Keeps {
		qos |= entryKeeps
	}
	dst = append(dst, e.Kind, qos)
	dst = binary.AppendUvarint(dst, uint64(e.Size))
	dst = binary.AppendUvarint(dst, uint64(e.Expires))
	dst = frame.AppendPrefixed(dst, e.Edge)
	return frame.AppendPrefixed(dst, e.Control)
}

// put writes e into b.
func (q *Queue) put(b *batch.Batch, e *Entry, encode func([]byte) []byte) {
	rest := e.appendValue(nil)
	if e.ID == 0 {
		b.Put(batch.LinkQueues, q.key(e.Pos), append(make([]byte, 8), rest...))
		return
	}
	b.PutRef(batch.LinkQueues, q.key(e.Pos), e.ID, rest, encode)
}

// decode reads a record. When it is damaged the entry has its position, where that can be read.
func (q *Queue) decode(k, v []byte) (e Entry, err error) {
	id, rest, ok := batch.RefID(v)
	if len(k) == 17 {
		e.Pos = binary.BigEndian.Uint64(k[9:])
	}
	if len(k) != 17 || !ok {
		return e, errors.New("link queue record is too short")
	}
	r := bytesread.New(rest)
	e.ID, e.state, e.Kind = id, ready, r.Uint8()
	qos := r.Uint8()
	e.QoS, e.Keeps = qos&^(entryStamped|entryKeeps), qos&entryKeeps != 0
	e.Size = r.Count(frame.MaxSize)
	e.Expires = int64(r.Uvarint())
	e.Edge = r.Text(frame.MaxName)
	e.Control = slices.Clone(r.Prefixed(1 << 16))
	if e.Expires != 0 && qos&entryStamped == 0 {
		e.Expires = q.stampOf(e.Expires)
	}
	return e, r.Err()
}

// unset is the Unix time in milliseconds, 2025-01-01, before which nobody has set a wall clock.
const unset = 1735689600000

// stampOf is the stored time of a deadline of an earlier version, in Unix milliseconds of the wall clock. When that
// clock was not set then, or is not now, nobody can say what is left: the message stays without a deadline.
func (q *Queue) stampOf(unixMilli int64) int64 {
	if unixMilli < unset || q.cfg.Now().UnixMilli() < unset {
		return 0
	}
	return max(q.st.Stamp(time.UnixMilli(unixMilli)), 1)
}
