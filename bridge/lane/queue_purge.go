package lane

import (
	"fmt"
	"math"

	"mangrove/internal/batch"
)

// Purge drops what waits, because an operator wants it, and tells how much that was. What is on its way to the neighbour,
// what comes while Purge runs, and control records stay. When it returns the removal is stable; after an error a part may
// be gone. Not called from the store's writer.
func (q *Queue) Purge() (messages, bytes int, err error) {
	return q.remove(nil, math.MaxUint64, DropRemoved)
}

// Reduce removes what waits up to a position, but for the positions of spare, because nobody wants it there any more, and tells how many
// messages that were. They are not counted as dropped. Else it is as Purge.
func (q *Queue) Reduce(spare map[uint64]struct{}, until uint64) (messages int, err error) {
	messages, _, err = q.remove(spare, until, "")
	return messages, err
}

// remove removes all up to until but spare, and what comes meanwhile. reason is what it is counted as; "" = it is not.
func (q *Queue) remove(spare map[uint64]struct{}, until uint64, reason string) (messages, bytes int, err error) {
	q.paging.Lock()
	defer q.paging.Unlock()
	c := &cut{b: new(batch.Batch), most: math.MaxInt, mostBytes: math.MaxInt, all: true, spare: spare, until: until}
	q.purgeMemory(c, reason)
	messages, bytes = c.n, c.bytes
	for more := true; more; {
		c.n, c.bytes, c.next = 0, 0, 0
		if err := q.cutDisk(c); err != nil {
			return messages, bytes, err
		}
		if !c.b.Empty() {
			if err := q.st.CommitWait(c.b); err != nil {
				return messages, bytes, fmt.Errorf("purge link queue: %w", err)
			}
		}
		messages += c.n
		bytes += c.bytes
		q.purged(c, reason)
		more = c.next != 0
		c.from, c.b = c.next, new(batch.Batch)
	}
	return messages, bytes, nil
}

// purgeMemory drops what is ready in memory, and makes c the step that goes on with what is on disk.
func (q *Queue) purgeMemory(c *cut, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := q.sent; i < len(q.mem); i++ {
		if e := &q.mem[i]; e.state == ready && c.takes(e) {
			c.n++
			c.bytes += e.Size
			q.Delete(e, c.b)
			q.killLocked(e)
		}
	}
	if c.n > 0 && reason != "" {
		q.cfg.Dropped(reason, c.n)
	}
	q.trimFrontLocked()
	if q.diskOnly {
		c.from, c.to = q.memTop+1, q.last+1
		if len(q.behind) > 0 {
			c.to = q.behind[0].pos
		}
	}
}

// purged counts what a step has removed from the disk.
func (q *Queue) purged(c *cut, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages -= c.n
	q.bytes -= c.bytes
	if c.n > 0 && reason != "" {
		q.cfg.Dropped(reason, c.n)
	}
	q.calmLocked()
}
