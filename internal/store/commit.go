package store

import (
	"fmt"
	"time"

	"mangrove/internal/batch"
)

// Commit queues b for the writer and returns at once. Batches become stable in the order of their
// Commit calls, each whole or not at all; then every Waiter of b is told, in order, from the
// writer's goroutine. The store owns b from here on: it may be handed out again by NewBatch.
//
// An empty batch is told at once, from the caller's goroutine, and so possibly before an earlier one of
// the same caller; a batch that comes after Close is refused from there too.
func (s *Store) Commit(b *batch.Batch) {
	if b.Empty() {
		b.Settle(nil)
		return
	}
	if !s.enqueue(b) {
		s.count.refused.Inc()
		b.Settle(ErrClosed)
		return
	}
	s.wake.Ring()
}

// CommitWait commits b and waits until it is stable (nil) or was refused (why not). The caller holds no lock that a
// Waiter takes, and is not inside a Committed.
func (s *Store) CommitWait(b *batch.Batch) error {
	w, ok := s.waits.Get().(answer)
	if !ok {
		w = make(answer, 1)
	}
	b.Notify(w, 0)
	s.Commit(b)
	err := <-w // the store tells in any case, also when it refuses or closes
	s.waits.Put(w)
	return err
}

// answer hands the outcome of one batch to who waits for it; its capacity is 1, so that the writer never waits.
type answer chan error

// Committed implements batch.Waiter.
func (a answer) Committed(_ uint64, err error) { a <- err }

// enqueue is false after Close. A batch above the bound is queued as refused, with nothing but its waiters, so
// that they too are told by the writer.
func (s *Store) enqueue(b *batch.Batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	size, most := len(b.Ops()), maxNew
	if b.Owed() {
		most = maxBatch
	}
	switch {
	case b.Err() != nil:
		b.Refuse(b.Err()) // with ErrKey: it keeps no memory while it waits
	case s.pending > 0 && s.pending+b.Size() > s.cfg.MaxPendingBytes:
		b.Refuse(ErrBacklog)
	case size > most:
		b.Refuse(fmt.Errorf("%w: %d bytes, allowed are %d", ErrTooLarge, size, most))
	}
	if len(s.queue) == 0 {
		s.since = time.Now()
	}
	s.queue = append(s.queue, b)
	s.waiting++
	s.pending += b.Size()
	s.come.Batches++
	s.come.Ops += uint64(b.Count())
	return true
}
