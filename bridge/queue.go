package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/bytesread"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// queue is the durable lane to one neighbour: first in, first out, on disk until acknowledged.
//
//	add ──▶ pending ── batch stable ──▶ ready ── next ──▶ on the way ── ack ──▶ gone
//	            └───── batch refused ─▶ dead                  │
//	                                            attach: all over again
//	(to the cores: what may go before it is on disk, see queue_early.go)
//
// In memory is the front of it:
//
//	 front                                                back
//	┌──────────────┬─────────────────┬ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─┐
//	│ on the way   │ next to be sent │  on disk only        │   behind: positions of it
//	└──────────────┴─────────────────┴ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─┘   whose batch is not stable yet
//	 0        sent              len(mem)
//
// Positions rise and are not given twice while the process lives. They are sent in their order, so a
// position whose batch is still under way holds up those after it: by as much as its publisher takes
// from Router.Publish to Store.Commit.
//
// Safe for concurrent use. mu is never held while the Store is called: its writer calls Committed. The sending
// side is in queue_send.go.
type queue struct {
	st      *store.Store
	num     uint64 // the neighbour's
	limits  queueLimits
	changed func()                     // something became sendable; called without mu
	dropped func(reason string, n int) // counts; called with mu

	commits sync.Mutex // from taking writes out of the queue to their Commit, so that records are removed after they were put; before mu

	mu       sync.Mutex
	closed   bool
	owner    any // who sends from it; others' calls of next and ack do nothing
	mem      []entry
	sent     int // mem[:sent] is on the way
	sentSize int
	memSize  int         // of the messages that mem holds on to
	diskOnly bool        // there may be entries above memTop on disk
	memTop   uint64      // mem holds every entry up to here
	behind   []uncertain // entries above memTop whose batch is under way
	last     uint64      // position given last
	messages int
	bytes    int
	trimFrom uint64 // positions from here to trimTo are gone, but not from the disk yet; 0 = none
	trimTo   uint64
	trims    int // how many
	early    early
}

type queueLimits struct {
	messages, bytes int
	whenFull        WhenFull
}

// Bounds of what a queue has in memory. What is beyond stays on disk until it is its turn.
const (
	memEntries  = 4096    // while somebody sends; 128 bytes each
	idleEntries = 128     // while nobody does
	memBytes    = 2 << 20 // messages held on to, so that sending needs no read; the entries stay without them
	pageSize    = 512     // entries read from disk at a time
)

// entry is one message or control record. On disk: key num, lane, position; value as in appendValue.
type entry struct {
	pos     uint64
	id      uint64 // message body; 0 = a control record
	size    int
	expires int64 // Unix milliseconds; 0 = never
	qos     byte
	kind    byte
	state   entryState
	early   bool          // may be sent before it is stable
	edge    string        // the edge it is for, in a peer's queue
	control []byte        // a control record
	msg     *mqtt.Message // nil = read the body
}

func expiryOf(m *mqtt.Message) int64 {
	if m.Expires.IsZero() {
		return 0
	}
	return max(m.Expires.UnixMilli(), 1)
}

type entryState byte

const (
	pending entryState = iota // in a batch that is not stable yet
	ready
	unwritten // in no batch yet
	dead      // its batch was refused, or it expired, or it was dropped: to be skipped
)

type uncertain struct {
	pos     uint64
	size    int
	settled bool
}

// load finds out what is on disk. Nothing is read into memory yet.
func (q *queue) load() error {
	q.last = q.st.NextID()
	err := q.st.Scan(batch.LinkQueues, q.key(0), q.key(^uint64(0)), func(k, v []byte) bool {
		e, err := decodeEntry(k, v)
		if err != nil {
			return true // refill reports it when it is its turn
		}
		q.messages++
		q.bytes += e.size
		q.last = max(q.last, e.pos)
		q.diskOnly = true
		return true
	})
	if err != nil {
		return fmt.Errorf("load link queue: %w", err)
	}
	if !q.diskOnly {
		q.memTop = q.last
	}
	return nil
}

// pendingLocked tells whether something is still on its way to the disk.
func (q *queue) pendingLocked() bool {
	for i := range q.mem {
		if s := q.mem[i].state; s == pending || s == unwritten {
			return true
		}
	}
	return len(q.behind) > 0
}

// close refuses what comes from here on; it is dropped and counted. settled tells that nothing is on its way to
// the disk any more.
func (q *queue) close() (settled bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return !q.pendingLocked()
}

// key is where a position lies in table LinkQueues.
func (q *queue) key(pos uint64) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 17), q.num)
	key = append(key, frame.LaneDurable)
	return binary.BigEndian.AppendUint64(key, pos)
}

// appendValue writes an entry without its position and body:
//
//	kind 1, qos 1, uvarint size, uvarint expires, edge, control: uvarint length, bytes
func (e *entry) appendValue(dst []byte) []byte {
	dst = append(dst, e.kind, e.qos)
	dst = binary.AppendUvarint(dst, uint64(e.size))
	dst = binary.AppendUvarint(dst, uint64(e.expires))
	dst = frame.AppendPrefixed(dst, e.edge)
	return frame.AppendPrefixed(dst, e.control)
}

func decodeEntry(k, v []byte) (e entry, err error) {
	id, rest, ok := batch.RefID(v)
	if len(k) != 17 || !ok {
		return e, errors.New("link queue record is too short")
	}
	r := bytesread.New(rest)
	e = entry{pos: binary.BigEndian.Uint64(k[9:]), id: id, state: ready, kind: r.Uint8(), qos: r.Uint8()}
	e.size = r.Count(frame.MaxSize)
	e.expires = int64(r.Uvarint())
	e.edge = r.Text(frame.MaxName)
	e.control = slices.Clone(r.Prefixed(1 << 16))
	return e, r.Err()
}

// put writes e into b.
func (q *queue) put(b *batch.Batch, e *entry, encode func([]byte) []byte) {
	rest := e.appendValue(nil)
	if e.id == 0 {
		b.Put(batch.LinkQueues, q.key(e.pos), append(make([]byte, 8), rest...))
		return
	}
	b.PutRef(batch.LinkQueues, q.key(e.pos), e.id, rest, encode)
}

// add queues m at qos in r's batch; at the bound it refuses or drops. now = it can be sent before that is stable.
func (q *queue) add(m *mqtt.Message, qos, kind byte, r *mqtt.Receipt) (now bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.addLocked(m, qos, kind, r)
}

func (q *queue) addLocked(m *mqtt.Message, qos, kind byte, r *mqtt.Receipt) (now bool) {
	e := entry{id: m.ID, size: m.Size(), expires: expiryOf(m), qos: qos, kind: kind, msg: m}
	if q.closed {
		q.dropped(dropNeighbourGone, 1)
		return false
	}
	if q.fullLocked(e.size) {
		switch {
		case q.limits.whenFull == Refuse:
			r.Refuse(mqtt.ErrQuota)
			return false
		case q.limits.whenFull == DropNew || !q.dropOldestLocked(e.size, r.Batch()):
			q.dropped(dropQueueFull, 1)
			return false
		}
	}
	if q.goesEarlyLocked(m, &e, r) {
		q.appendEarlyLocked(e, r)
		return true
	}
	q.appendLocked(e, r.Batch(), func(dst []byte) []byte { return mqtt.AppendMessage(dst, m) })
	return false
}

// append queues e without regard to the bounds: what is moved from another queue of the fleet, and
// control records.
func (q *queue) append(e entry, b *batch.Batch, encode func([]byte) []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.dropped(dropNeighbourGone, 1)
		return
	}
	q.appendLocked(e, b, encode)
}

// placeLocked gives e its position and counts it.
func (q *queue) placeLocked(e *entry, s entryState) {
	q.last++
	e.pos, e.state = q.last, s
	q.messages++
	q.bytes += e.size
}

func (q *queue) appendLocked(e entry, b *batch.Batch, encode func([]byte) []byte) {
	q.placeLocked(&e, pending)
	q.put(b, &e, encode)
	b.Notify(q, e.pos)
	if q.diskOnly || len(q.mem) >= q.roomLocked() {
		q.diskOnly = true
		q.behind = append(q.behind, uncertain{pos: e.pos, size: e.size})
		return
	}
	switch {
	case q.memSize+e.size > memBytes || q.owner == nil:
		e.msg = nil
	case e.msg != nil:
		e.msg = e.msg.Kept()
		fallthrough
	default:
		q.memSize += e.size
	}
	q.mem = append(q.mem, e)
	q.memTop = e.pos
}

func (q *queue) fullLocked(size int) bool {
	return q.messages >= q.limits.messages || q.messages > 0 && q.bytes+size > q.limits.bytes
}

// dropOldestLocked makes room by dropping what would be sent next. It cannot when that is on disk only, or
// not stable.
func (q *queue) dropOldestLocked(size int, b *batch.Batch) bool {
	for i := q.sent; i < len(q.mem) && q.fullLocked(size); i++ {
		if e := &q.mem[i]; e.state == ready {
			b.Delete(batch.LinkQueues, q.key(e.pos))
			q.killLocked(e)
			q.dropped(dropQueueFull, 1)
		}
	}
	q.trimFrontLocked()
	return !q.fullLocked(size)
}

// killLocked takes an entry out of the count; its place stays until it comes to the front.
func (q *queue) killLocked(e *entry) {
	q.letGoLocked(e)
	e.state = dead
	q.messages--
	q.bytes -= e.size
}

func (q *queue) letGoLocked(e *entry) {
	if e.msg != nil {
		q.memSize -= e.size
		e.msg = nil
	}
}

// addFresh is add of the message that find returns, nil = none. Nothing else is queued in between: for
// messages that may be replaced while they are looked up.
func (q *queue) addFresh(find func() *mqtt.Message, qos, kind byte, r *mqtt.Receipt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := find(); m != nil {
		q.addLocked(m, min(qos, m.QoS), kind, r)
	}
}

// Committed implements batch.Waiter: arg is a position.
func (q *queue) Committed(arg uint64, err error) {
	q.mu.Lock()
	switch e := q.findLocked(arg); {
	case e == nil:
		q.settleBehindLocked(arg, err)
	case e.state == dead: // discarded
	case err == nil:
		e.state = ready
	default:
		q.lessSentLocked(e)
		q.killLocked(e)
		q.trimFrontLocked()
	}
	promised := q.settleLocked(arg)
	q.mu.Unlock()
	if promised != nil {
		promised.Release(err)
	}
	q.changed()
}

func (q *queue) findLocked(pos uint64) *entry {
	i, ok := slices.BinarySearchFunc(q.mem, pos, func(e entry, pos uint64) int { return compare(e.pos, pos) })
	if !ok {
		return nil
	}
	return &q.mem[i]
}

func (q *queue) settleBehindLocked(pos uint64, err error) {
	i, ok := slices.BinarySearchFunc(q.behind, pos, func(u uncertain, pos uint64) int { return compare(u.pos, pos) })
	if !ok {
		return
	}
	q.behind[i].settled = true
	if err != nil {
		q.messages--
		q.bytes -= q.behind[i].size
	}
	n := 0
	for n < len(q.behind) && q.behind[n].settled {
		n++
	}
	q.behind = q.behind[n:]
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// commit commits b, if there is one. The caller holds commits.
func (q *queue) commit(b *batch.Batch) {
	if b != nil {
		q.st.Commit(b)
	}
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
