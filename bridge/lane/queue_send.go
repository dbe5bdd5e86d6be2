package lane

import (
	"fmt"
	"slices"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// Credit is how much may be on the way, unacknowledged.
type Credit struct{ Messages, Bytes int }

// Attach makes owner the one who sends, from the front again. owner is any value that is its own only.
func (q *Queue) Attach(owner any) {
	q.commits.Lock()
	defer q.commits.Unlock()
	q.mu.Lock()
	late := q.endEarlyLocked()
	q.owner, q.sent, q.sentSize = owner, 0, 0
	q.mu.Unlock()
	q.commit(late)
}

// Detach ends that, when it is still owner. Messages held on to are let go: nobody will send them soon.
func (q *Queue) Detach(owner any) {
	q.commits.Lock()
	defer q.commits.Unlock()
	q.commit(q.dropOwner(owner))
}

// dropOwner returns what is to be written then.
func (q *Queue) dropOwner(owner any) (late *batch.Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner != owner {
		return nil
	}
	late = q.endEarlyLocked()
	q.owner, q.sent, q.sentSize, q.bound.passed = nil, 0, 0, 0
	q.bound.ages.Note(q.last+1, q.firstLocked(), q.cfg.Now())
	for i := range q.mem {
		q.letGoLocked(&q.mem[i])
	}
	q.shrinkLocked()
	return late
}

// Adopt makes owner the sender if there is none.
func (q *Queue) Adopt(owner any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner == nil {
		q.owner = owner
	}
}

// shrinkLocked leaves all but the first idleEntries to the disk. A dead entry must stay: it would come back.
func (q *Queue) shrinkLocked() {
	keep := len(q.mem)
	for keep > idleEntries && q.mem[keep-1].state != dead {
		keep--
	}
	var tail []uncertain
	for _, e := range q.mem[keep:] {
		q.diskOnly = true
		if e.state == pending {
			tail = append(tail, uncertain{pos: e.Pos, size: e.Size})
		}
	}
	q.behind = append(tail, q.behind...)
	if q.mem = slices.Clip(slices.Clone(q.mem[:keep])); keep > 0 && q.diskOnly {
		q.memTop = q.mem[keep-1].Pos
	}
}

// roomLocked is how many entries may be in memory.
func (q *Queue) roomLocked() int {
	if q.owner == nil {
		return idleEntries
	}
	return memEntries
}

// Next appends to dst the entries of one more frame, all for the same edge, and marks them as on the way.
// refill is true when there is more on disk only: the caller is to call Refill. Who does
// not own the queue gets nothing.
func (q *Queue) Next(owner any, dst []Entry, c Credit, maxBytes int, now time.Time) (found []Entry, refill bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner != owner {
		return dst, false
	}
	size := 0
	for q.sent < len(q.mem) && len(dst) < frame.MaxItems {
		e := &q.mem[q.sent]
		if e.state == ready && e.Expires != 0 && e.Expires <= q.st.Stamp(now) {
			q.killLocked(e)
			q.cfg.Dropped(DropExpired, 1)
		}
		if e.state == pending && !e.early || e.state != dead && !q.fitsLocked(e, dst, size, c, maxBytes) {
			break
		}
		q.sent++
		if e.state != dead {
			dst = append(dst, *e)
			size += e.Size
			q.sentSize += e.Size
		}
	}
	q.trimFrontLocked()
	return dst, q.diskOnly && q.sent == len(q.mem)
}

// fitsLocked tells whether e may join those of dst, which have size bytes. One message always may, so that
// a large one cannot be stuck.
func (q *Queue) fitsLocked(e *Entry, dst []Entry, size int, c Credit, maxBytes int) bool {
	if q.sent >= c.Messages {
		return false
	}
	if q.sent > 0 && q.sentSize+e.Size > c.Bytes {
		return false
	}
	return len(dst) == 0 || dst[0].Edge == e.Edge && size+e.Size <= maxBytes
}

// Refill reads the next page from disk behind what is in memory. progress is false when there is
// nothing to be had now. Not called from the store's writer.
func (q *Queue) Refill(owner any) (progress bool, err error) {
	q.paging.Lock()
	defer q.paging.Unlock()
	from, to, ok := q.gap(owner)
	if !ok {
		return false, nil
	}
	page := make([]Entry, 0, pageSize)
	damaged := 0
	err = q.st.Scan(batch.LinkQueues, q.key(from), q.key(to), func(k, v []byte) bool {
		e, err := q.decode(k, v)
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
func (q *Queue) gap(owner any) (from, to uint64, ok bool) {
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

func (q *Queue) takePage(from, to uint64, page []Entry, damaged int) (progress bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.memTop+1 != from {
		return true // somebody else did
	}
	if damaged > 0 {
		q.cfg.Dropped(DropDamaged, damaged)
	}
	for i := range page {
		q.bound.soonest = earlier(q.bound.soonest, page[i].Expires) // a sweep that goes on looks at what is on disk only
	}
	q.mem = append(q.mem, page...)
	if q.memTop = to - 1; len(page) == pageSize {
		q.memTop = page[len(page)-1].Pos
	}
	q.diskOnly = q.memTop != q.last
	return true
}

// Read returns entries that are stable, from a position on, and the position to go on from; none when there are no more. It
// changes nothing, and may be called by anybody. Not called from the store's writer.
func (q *Queue) Read(from uint64) (found []Entry, next uint64, err error) {
	to := q.firstUnsettled()
	if from >= to {
		return nil, from, nil
	}
	next = to
	err = q.st.Scan(batch.LinkQueues, q.key(from), q.key(to), func(k, v []byte) bool {
		e, err := q.decode(k, v)
		if err == nil {
			found, next = append(found, e), e.Pos+1
		}
		return len(found) < pageSize
	})
	if err != nil {
		return nil, from, fmt.Errorf("read link queue: %w", err)
	}
	return found, next, nil
}

// firstUnsettled is the first position whose batch is under way, or the one that is given next.
func (q *Queue) firstUnsettled() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.mem {
		if s := q.mem[i].state; s == pending || s == unwritten {
			return q.mem[i].Pos
		}
	}
	if len(q.behind) > 0 {
		return q.behind[0].pos
	}
	return q.last + 1
}

// Ack removes what is on the way up to a position.
func (q *Queue) Ack(owner any, pos uint64) {
	release(q.takeAcked(owner, pos), nil)
}

func (q *Queue) takeAcked(owner any, pos uint64) (promised []promise) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner != owner {
		return nil
	}
	n := 0
	for n < q.sent && q.mem[n].Pos <= pos {
		n++
	}
	if n > 0 {
		promised = q.fulfilLocked(q.mem[n-1].Pos)
	}
	q.popLocked(n)
	q.trimFrontLocked()
	q.calmLocked()
	return promised
}

// Delete writes the removal of an entry that is on the way into b: another queue takes it in the same batch. Ack must
// follow when b is stable.
func (q *Queue) Delete(e *Entry, b *batch.Batch) { b.Delete(batch.LinkQueues, q.key(e.Pos)) }

// Discard drops an entry that is on the way but cannot be sent.
func (q *Queue) Discard(owner any, pos uint64, reason string) {
	if promised := q.takeDiscarded(owner, pos, reason); promised != nil {
		promised.Release(nil) // as if it had been written before
	}
}

func (q *Queue) takeDiscarded(owner any, pos uint64, reason string) (promised *mqtt.Receipt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.findLocked(pos)
	if q.owner != owner || e == nil || e.state == dead || e.state == pending && !e.early {
		return nil
	}
	q.lessSentLocked(e)
	q.killLocked(e)
	q.cfg.Dropped(reason, 1)
	promised = q.settleLocked(pos)
	q.trimFrontLocked()
	return promised
}

// lessSentLocked takes an entry out of the count of what is on the way, if it is.
func (q *Queue) lessSentLocked(e *Entry) {
	if q.sent > 0 && e.Pos <= q.mem[q.sent-1].Pos {
		q.sentSize -= e.Size
	}
}

// trimFrontLocked removes dead entries from the front.
func (q *Queue) trimFrontLocked() {
	n := 0
	for n < len(q.mem) && q.mem[n].state == dead {
		n++
	}
	q.popLocked(n)
}

func (q *Queue) popLocked(n int) {
	if n == 0 {
		return
	}
	for i := range q.mem[:n] {
		e := &q.mem[i]
		if e.state != unwritten {
			q.toTrimLocked(e.Pos)
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

func (q *Queue) toTrimLocked(pos uint64) {
	if q.trimFrom == 0 {
		q.trimFrom = pos
	}
	q.trimTo = pos
	q.trims++
}

// Trim removes from the disk what Ack and expiry took out. That becomes stable when something else does: what
// comes back after a power cut is recognised as a repeat.
func (q *Queue) Trim() {
	q.commits.Lock()
	defer q.commits.Unlock()
	q.commit(q.takeTrim())
}

func (q *Queue) takeTrim() *batch.Batch {
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

// Untrimmed is how many positions wait for Trim.
func (q *Queue) Untrimmed() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.trims
}

// Backlog is what the neighbour is owed.
func (q *Queue) Backlog() (messages, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.messages, q.bytes
}

// Last is the position given last.
func (q *Queue) Last() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last
}

// Passed tells that all up to a position has left the queue.
func (q *Queue) Passed(pos uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.messages == 0 || q.firstLocked() > pos
}

// Empty tells that there is nothing left, not even something under way to the disk.
func (q *Queue) Empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.messages == 0
}
