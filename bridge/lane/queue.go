package lane

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/overflow"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// Queue is the durable lane to one neighbour: first in, first out, on disk until acknowledged.
//
//	Add ──▶ pending ── batch stable ──▶ ready ── Next ──▶ on the way ── Ack ──▶ gone
//	            └───── batch refused ─▶ dead                  │
//	                                            Attach: all over again
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
// Positions rise and are not given twice while the process lives. They are sent in their order, so a position whose
// batch is still under way holds up those after it: by as much as its publisher takes from Router.Publish to
// Store.Commit.
//
// Safe for concurrent use. A Queue never commits with mu held: the Store's writer calls Committed.
//
//	queue.go        how it is made, and what comes in
//	queue_send.go   what goes out: one owner at a time sends and acknowledges
//	queue_full.go   what gives way at the bound
//	queue_early.go  what goes out before it is on disk
//	entry.go        one entry, and its bytes on disk
type Queue struct {
	cfg Config
	st  *store.Store

	paging  sync.Mutex // while a page is read from disk, or messages on disk give way; before commits
	commits sync.Mutex // from taking writes out of the queue to their Commit, so that records are removed after they were put; before mu

	mu       sync.Mutex
	closed   bool
	owner    any // who sends from it; others' calls of Next and Ack do nothing
	mem      []Entry
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
	bound    bound
	early    early
}

// Config of a Queue. All but Name, Spares, Patience and Log must be set.
type Config struct {
	Store *store.Store
	Num   uint64           // the neighbour's: its rows in table LinkQueues
	Now   func() time.Time // the clock of Patience

	Name string // the neighbour's, for the log
	// MaxMessages and MaxBytes bound the queue; WhenFull, which has been checked, says by topic what happens then: see queue_full.go.
	MaxMessages, MaxBytes int
	WhenFull              overflow.Rules
	Spares                bool // what others here have taken is not refused for this queue's sake, but dropped from it: a full uplink stops nobody

	Patience time.Duration // how long to wait for the acknowledgement of what went early; 0 = nothing goes early

	Changed func()                     // something became sendable; called without locks of the queue, must not block
	Dropped func(reason string, n int) // counts; called with locks held
	Log     *slog.Logger
	Parked  *metrics.Counter // messages from links that were taken above the bound
	Early   *metrics.Counter // messages that were sent before they were written
	Late    *metrics.Counter // such that were written after all
}

// Bounds of what a queue has in memory. What is beyond stays on disk until it is its turn.
const (
	memEntries  = 4096    // while somebody sends; 136 bytes each
	idleEntries = 128     // while nobody does
	memBytes    = 2 << 20 // messages held on to, so that sending needs no read; the entries stay without them
	pageSize    = 512     // entries read from disk at a time
)

// uncertain is an entry that is on disk only, while its batch is under way.
type uncertain struct {
	pos     uint64
	size    int
	settled bool
}

// NewQueue makes an empty queue. Load follows where there may be something on disk.
func NewQueue(cfg Config) *Queue {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{cfg: cfg, st: cfg.Store}
	q.last = cfg.Store.NextID() // above all positions of earlier lives
	q.memTop = q.last
	q.bound.ages.Note(q.last+1, q.last+1, cfg.Now())
	return q
}

// Load finds out what is on disk; called once, before anything else. Nothing is read into memory yet.
func (q *Queue) Load() error {
	err := q.st.Scan(batch.LinkQueues, q.key(0), q.key(^uint64(0)), func(k, v []byte) bool {
		e, err := q.decode(k, v)
		if err != nil {
			return true // Refill reports it when it is its turn
		}
		q.messages++
		q.bytes += e.Size
		q.bound.soonest = earlier(q.bound.soonest, e.Expires)
		q.last = max(q.last, e.Pos)
		q.diskOnly = true
		return true
	})
	if err != nil {
		return fmt.Errorf("load link queue: %w", err)
	}
	q.memTop = q.last
	if q.diskOnly {
		q.memTop = 0
	}
	return nil
}

// Add queues m at qos in r's batch; at the bound it refuses or drops. m may be lent (mqtt.Loan): the queue keeps a copy of
// its own. It reports that m can be sent before r's batch is stable: the caller wakes who sends.
func (q *Queue) Add(m *mqtt.Message, qos, kind byte, r *mqtt.Receipt) (sendable bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.addLocked(m, qos, kind, r)
}

// AddFresh is Add of the message that find returns, nil = none. Nothing else is queued in between: for messages that
// may be replaced while they are looked up. find is called with the queue's lock held.
func (q *Queue) AddFresh(find func() *mqtt.Message, qos, kind byte, r *mqtt.Receipt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := find(); m != nil {
		q.addLocked(m, min(qos, m.QoS), kind, r)
	}
}

func (q *Queue) addLocked(m *mqtt.Message, qos, kind byte, r *mqtt.Receipt) (sendable bool) {
	e := q.Entry(m, qos, kind)
	e.Msg = m
	if q.closed {
		q.cfg.Dropped(DropNeighbourGone, 1)
		return false
	}
	if q.fullLocked(e.Size) && !q.admitsLocked(m, e.Size, r) {
		return false
	}
	if q.goesEarlyLocked(m, &e, r) {
		q.appendEarlyLocked(e, r)
		return true
	}
	q.appendLocked(e, r.Batch(), func(dst []byte) []byte { return mqtt.AppendMessage(dst, m) })
	return false
}

// Append queues e whatever the bounds: what is moved from another queue of the fleet. Where the oldest give way they do afterwards.
// encode writes its body.
//
// b must end: by Commit, also when that may be refused, or by Abandon. e is pending from here on, and only Committed takes
// it out of that state; a batch that is forgotten stops all that comes after e, until the node restarts. The same holds
// for the batch of a receipt given to Add and AddFresh. See batch.Batch.
func (q *Queue) Append(e Entry, b *batch.Batch, encode func([]byte) []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.cfg.Dropped(DropNeighbourGone, 1)
		return
	}
	q.appendLocked(e, b, encode)
	if q.overLocked() && q.cfg.WhenFull.Default == overflow.DropOldest {
		q.bound.gives = true // as soon as it is stable
	}
}

// AppendControl queues a control record, as Append does.
func (q *Queue) AppendControl(record []byte, b *batch.Batch) {
	q.Append(Entry{Kind: frame.ItemControl, Control: record}, b, nil)
}

// placeLocked gives e its position and counts it.
func (q *Queue) placeLocked(e *Entry, s entryState) {
	q.last++
	e.Pos, e.state = q.last, s
	q.messages++
	q.bytes += e.Size
	if e.Expires != 0 {
		q.bound.soonest = earlier(q.bound.soonest, e.Expires)
	}
	if q.bound.ages.Due(e.Pos) {
		q.bound.ages.Note(e.Pos, q.firstLocked(), q.cfg.Now())
	}
}

func (q *Queue) appendLocked(e Entry, b *batch.Batch, encode func([]byte) []byte) {
	q.placeLocked(&e, pending)
	q.put(b, &e, encode)
	b.Notify(q, e.Pos)
	if q.diskOnly || len(q.mem) >= q.roomLocked() {
		q.diskOnly = true
		q.behind = append(q.behind, uncertain{pos: e.Pos, size: e.Size})
		return
	}
	if q.memSize+e.Size > memBytes || q.owner == nil {
		e.Msg = nil
	}
	if e.Msg != nil {
		e.Msg = e.Msg.Kept()
		q.memSize += e.Size
	}
	q.mem = append(q.mem, e)
	q.memTop = e.Pos
}

// killLocked takes an entry out of the count; its place stays until it comes to the front.
func (q *Queue) killLocked(e *Entry) {
	q.letGoLocked(e)
	e.state = dead
	q.messages--
	q.bytes -= e.Size
}

func (q *Queue) letGoLocked(e *Entry) {
	if e.Msg != nil {
		q.memSize -= e.Size
		e.Msg = nil
	}
}

// Committed implements batch.Waiter: arg is a position.
func (q *Queue) Committed(arg uint64, err error) {
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
	if q.bound.gives {
		q.makeRoomLocked() // it may give way now
	}
	q.mu.Unlock()
	if promised != nil {
		promised.Release(err)
	}
	q.cfg.Changed()
}

func (q *Queue) findLocked(pos uint64) *Entry {
	i, ok := slices.BinarySearchFunc(q.mem, pos, func(e Entry, pos uint64) int { return cmp.Compare(e.Pos, pos) })
	if !ok {
		return nil
	}
	return &q.mem[i]
}

func (q *Queue) settleBehindLocked(pos uint64, err error) {
	i, ok := slices.BinarySearchFunc(q.behind, pos, func(u uncertain, pos uint64) int { return cmp.Compare(u.pos, pos) })
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

// commit commits b, if there is one. The caller holds commits.
func (q *Queue) commit(b *batch.Batch) {
	if b != nil {
		q.st.Commit(b)
	}
}

// pendingLocked tells whether something is still on its way to the disk.
func (q *Queue) pendingLocked() bool {
	for i := range q.mem {
		if s := q.mem[i].state; s == pending || s == unwritten {
			return true
		}
	}
	return len(q.behind) > 0
}

// Close refuses what comes from here on; it is dropped and counted. settled tells that nothing is on its way to
// the disk any more.
func (q *Queue) Close() (settled bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return !q.pendingLocked()
}

// IsClosed tells that Close was called.
func (q *Queue) IsClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// Forget writes the removal of all there is into b: the neighbour is gone. Close came before.
func (q *Queue) Forget(b *batch.Batch) {
	b.DeleteRange(batch.LinkQueues, q.key(0), q.key(^uint64(0)))
}
