package lane

import (
	"fmt"
	"math"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
)

// Purge drops what waits, because an operator wants it, and tells how much that was. What is on its way to the neighbour,
// what comes while Purge runs, and control records stay. When it returns the removal is stable; after an error a part may
// be gone. Not called from the store's writer.
func (q *Queue) Purge() (messages, bytes int, err error) {
	q.paging.Lock()
	defer q.paging.Unlock()
	b := new(batch.Batch)
	c := q.purgeMemory(b)
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
		q.purged(c)
		more = c.next != 0
		c.from, c.b = c.next, new(batch.Batch)
	}
	return messages, bytes, nil
}

// purgeMemory drops what is ready in memory, and returns the step that goes on with what is on disk.
func (q *Queue) purgeMemory(b *batch.Batch) *cut {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &cut{b: b, most: math.MaxInt, mostBytes: math.MaxInt, all: true}
	for i := q.sent; i < len(q.mem); i++ {
		if e := &q.mem[i]; e.state == ready && e.Kind != frame.ItemControl {
			c.n++
			c.bytes += e.Size
			q.Delete(e, b)
			q.killLocked(e)
		}
	}
	if c.n > 0 {
		q.cfg.Dropped(DropRemoved, c.n)
	}
	q.trimFrontLocked()
	if q.diskOnly {
		c.from, c.to = q.memTop+1, q.last+1
		if len(q.behind) > 0 {
			c.to = q.behind[0].pos
		}
	}
	return c
}

// purged counts what a step has removed from the disk.
func (q *Queue) purged(c *cut) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages -= c.n
	q.bytes -= c.bytes
	if c.n > 0 {
		q.cfg.Dropped(DropRemoved, c.n)
	}
	q.calmLocked()
}
