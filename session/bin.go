package session

import (
	"sync"
	"time"

	"mangrove/internal/batch"
)

// bin gathers the records of messages that are done, to delete many of them with one batch. Nobody
// waits for that: a record that comes back after a crash is sent again, as QoS 1 allows, or
// has only its PUBREL left. The bin is bounded by what clients acknowledge within Config.AckDelay.
type bin struct {
	m *Manager

	mu      sync.Mutex
	records []place
	due     time.Duration // when to empty it; of Manager.clock
	busy    []place       // being deleted
	failed  bool          // the last time
	idle    sync.Cond     // busy has ended
}

// place is the key of a record in the Queues table.
type place struct{ number, seq uint64 }

const (
	binMany  = 4096        // records that are deleted without waiting for AckDelay
	binRetry = time.Second // after the store refused
)

func (b *bin) init(m *Manager) { b.m, b.idle.L = m, &b.mu }

// put marks a record for deletion.
func (b *bin) put(p place) {
	b.mu.Lock()
	b.records = append(b.records, p)
	n := len(b.records)
	if n == 1 && b.busy == nil {
		b.due = b.m.clock() + b.m.cfg.AckDelay
	}
	b.mu.Unlock()
	if n == 1 || n == binMany {
		b.m.timers.look.Ring()
	}
}

// of returns the messages of one session whose records may still be there, though they are done.
func (b *bin) of(number uint64) map[uint64]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	done := map[uint64]bool{}
	for _, list := range [][]place{b.records, b.busy} {
		for _, p := range list {
			if p.number == number {
				done[p.seq] = true
			}
		}
	}
	return done
}

// tick empties the bin when it is time, and tells how long that will be.
func (b *bin) tick(now time.Duration) time.Duration {
	b.mu.Lock()
	n, due, busy := len(b.records), b.due, b.busy != nil
	b.mu.Unlock()
	switch {
	case n == 0 || busy:
		return longest
	case due > now && n < binMany:
		return due - now
	}
	b.flush()
	return longest
}

// flush deletes what is in the bin.
func (b *bin) flush() {
	b.mu.Lock()
	if b.busy != nil || len(b.records) == 0 {
		b.mu.Unlock()
		return
	}
	busy := b.records
	b.busy, b.records = busy, nil
	b.mu.Unlock()
	writes := b.m.cfg.Store.NewBatch()
	var key [16]byte
	for _, p := range busy {
		writes.Delete(batch.Queues, appendQueueKey(key[:0], p.number, p.seq))
	}
	writes.Notify(b, 0)
	b.m.cfg.Store.Commit(writes)
}

// Committed implements batch.Waiter.
func (b *bin) Committed(_ uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delay := b.m.cfg.AckDelay
	if err != nil {
		b.m.log.Error("delete records of acknowledged messages", "records", len(b.busy), "error", err)
		b.records = append(b.busy, b.records...)
		delay = binRetry
	}
	b.busy, b.failed = nil, err != nil
	b.due = b.m.clock() + delay
	b.idle.Broadcast()
	if len(b.records) > 0 {
		b.m.timers.look.Ring()
	}
}

// drain empties the bin and waits for that, unless the store refuses.
func (b *bin) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.failed = false; !b.failed && (b.busy != nil || len(b.records) > 0); {
		if b.busy == nil {
			b.mu.Unlock()
			b.flush()
			b.mu.Lock()
			continue
		}
		b.idle.Wait()
	}
}
