package bridge

import (
	"fmt"
	"slices"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// credit is how much may be on the way, unacknowledged.
type credit struct{ messages, bytes int }

// attach makes owner the one who sends, from the front again.
func (q *queue) attach(owner any) {
	q.commits.Lock()
	defer q.commits.Unlock()
	q.mu.Lock()
	late := q.endEarlyLocked()
	q.owner, q.sent, q.sentSize = owner, 0, 0
	q.mu.Unlock()
	q.commit(late)
}

// detach ends that, when it is still owner. Messages held on to are let go: nobody will send them soon.
func (q *queue) detach(owner any) {
	q.commits.Lock()
	defer q.commits.Unlock()
	q.commit(q.dropOwner(owner))
}

// dropOwner returns what is to be written then.
func (q *queue) dropOwner(owner any) (late *batch.Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner != owner {
		return nil
	}
	late = q.endEarlyLocked()
	q.owner, q.sent, q.sentSize = nil, 0, 0
	for i := range q.mem {
		q.letGoLocked(&q.mem[i])
	}
	q.shrinkLocked()
	return late
}

// adopt is attach when nobody else sends.
func (q *queue) adopt(owner any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner == nil {
		q.owner = owner
	}
}

// shrinkLocked leaves all but the first idleEntries to the disk. A dead entry must stay: it would come back.
func (q *queue) shrinkLocked() {
	keep := len(q.mem)
	for keep > idleEntries && q.mem[keep-1].state != dead {
		keep--
	}
	var tail []uncertain
	for _, e := range q.mem[keep:] {
		q.diskOnly = true
		if e.state == pending {
			tail = append(tail, uncertain{pos: e.pos, size: e.size})
		}
	}
	q.behind = append(tail, q.behind...)
	if q.mem = slices.Clip(slices.Clone(q.mem[:keep])); keep > 0 && q.diskOnly {
		q.memTop = q.mem[keep-1].pos
	}
}

// roomLocked is how many entries may be in memory.
func (q *queue) roomLocked() int {
	if q.owner == nil {
		return idleEntries
	}
	return memEntries
}

// next appends to dst the entries of one more frame, all for the same edge, and marks them as on the way.
// refill is true when there is more on disk only: the caller is to call refill.
func (q *queue) next(owner any, dst []entry, c credit, maxBytes int, now time.Time) (found []entry, refill bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner != owner {
		return dst, false
	}
	size := 0
	for q.sent < len(q.mem) && len(dst) < frame.MaxItems {
		e := &q.mem[q.sent]
		if e.state == ready && e.expires != 0 && e.expires <= now.UnixMilli() {
			q.killLocked(e)
			q.dropped(dropExpired, 1)
		}
		if e.state == pending && !e.early || e.state != dead && !q.fitsLocked(e, dst, size, c, maxBytes) {
			break
		}
		q.sent++
		if e.state != dead {
			dst = append(dst, *e)
			size += e.size
			q.sentSize += e.size
		}
	}
	q.trimFrontLocked()
	return dst, q.diskOnly && q.sent == len(q.mem)
}

// fitsLocked tells whether e may join those of dst, which have size bytes. One message always may, so that
// a large one cannot be stuck.
func (q *queue) fitsLocked(e *entry, dst []entry, size int, c credit, maxBytes int) bool {
	if q.sent >= c.messages {
		return false
	}
	if q.sent > 0 && q.sentSize+e.size > c.bytes {
		return false
	}
	return len(dst) == 0 || dst[0].edge == e.edge && size+e.size <= maxBytes
}

// refill reads the next page from disk behind what is in memory. progress is false when there is
// nothing to be had now. Not called from the store's writer.
func (q *queue) refill(owner any) (progress bool, err error) {
	from, to, ok := q.gap(owner)
	if !ok {
		return false, nil
	}
	page := make([]entry, 0, pageSize)
	damaged := 0
	err = q.st.Scan(batch.LinkQueues, q.key(from), q.key(to), func(k, v []byte) bool {
		e, err := decodeEntry(k, v)
		if err != nil {
			e.state = dead
			damaged++
		}
		page = append(page, e)
		return len(page) < pageSize
	})
	if err != nil {
		return false, fmt.Errorf("read link queue: %w", err)
	}
	return q.takePage(from, to, page, damaged), nil
}

// gap finds the positions that are on disk only and stable: from <= position < to.
func (q *queue) gap(owner any) (from, to uint64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner != owner || !q.diskOnly || len(q.mem) >= q.roomLocked() {
		return 0, 0, false
	}
	from, to = q.memTop+1, q.last+1
	if len(q.behind) > 0 {
		to = q.behind[0].pos
	}
	return from, to, from < to
}

func (q *queue) takePage(from, to uint64, page []entry, damaged int) (progress bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.memTop+1 != from {
		return true // somebody else did
	}
	if damaged > 0 {
		q.dropped(dropDamaged, damaged)
	}
	q.mem = append(q.mem, page...)
	if q.memTop = to - 1; len(page) == pageSize {
		q.memTop = page[len(page)-1].pos
	}
	q.diskOnly = q.memTop != q.last
	return true
}

// ack removes what is on the way up to a position.
func (q *queue) ack(owner any, pos uint64) {
	release(q.takeAcked(owner, pos), nil)
}

func (q *queue) takeAcked(owner any, pos uint64) (promised []promise) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner != owner {
		return nil
	}
	n := 0
	for n < q.sent && q.mem[n].pos <= pos {
		n++
	}
	if n > 0 {
		promised = q.fulfilLocked(q.mem[n-1].pos)
	}
	q.popLocked(n)
	q.trimFrontLocked()
	return promised
}

// discard drops an entry that is on the way but cannot be sent.
func (q *queue) discard(owner any, pos uint64, reason string) {
	if promised := q.takeDiscarded(owner, pos, reason); promised != nil {
		promised.Release(nil) // as if it had been written before
	}
}

func (q *queue) takeDiscarded(owner any, pos uint64, reason string) (promised *mqtt.Receipt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.findLocked(pos)
	if q.owner != owner || e == nil || e.state == dead || e.state == pending && !e.early {
		return nil
	}
	q.lessSentLocked(e)
	q.killLocked(e)
	q.dropped(reason, 1)
	promised = q.settleLocked(pos)
	q.trimFrontLocked()
	return promised
}

// lessSentLocked takes an entry out of the count of what is on the way, if it is.
func (q *queue) lessSentLocked(e *entry) {
	if q.sent > 0 && e.pos <= q.mem[q.sent-1].pos {
		q.sentSize -= e.size
	}
}

// trimFrontLocked removes dead entries from the front.
func (q *queue) trimFrontLocked() {
	n := 0
	for n < len(q.mem) && q.mem[n].state == dead {
		n++
	}
	q.popLocked(n)
}

func (q *queue) popLocked(n int) {
	if n == 0 {
		return
	}
	for i := range q.mem[:n] {
		e := &q.mem[i]
		if e.state != unwritten {
			q.toTrimLocked(e.pos)
		}
		if e.state != dead {
			q.lessSentLocked(e)
			q.killLocked(e)
		}
	}
	kept := copy(q.mem, q.mem[n:])
	clear(q.mem[kept:])
	q.mem = q.mem[:kept]
	q.sent = max(q.sent-n, 0)
}

func (q *queue) toTrimLocked(pos uint64) {
	if q.trimFrom == 0 {
		q.trimFrom = pos
	}
	q.trimTo = pos
	q.trims++
}

// trim removes from the disk what ack and expiry took out. That becomes stable when something else does: what
// comes back after a power cut is recognised as a repeat.
func (q *queue) trim() {
	q.commits.Lock()
	defer q.commits.Unlock()
	q.commit(q.takeTrim())
}

func (q *queue) takeTrim() *batch.Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.trimFrom == 0 {
		return nil
	}
	b := new(batch.Batch)
	b.SetSlack(batch.Unsynced)
	b.DeleteRange(batch.LinkQueues, q.key(q.trimFrom), q.key(q.trimTo+1))
	q.trimFrom, q.trimTo, q.trims = 0, 0, 0
	return b
}

// untrimmed is how many positions wait for trim.
func (q *queue) untrimmed() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.trims
}

// backlog is what the neighbour is owed.
func (q *queue) backlog() (messages, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.messages, q.bytes
}

// empty tells that there is nothing left, not even something under way to the disk.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.messages == 0
}
