package store

import (
	"fmt"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// idBlock is how many numbers are set aside at a time. It is large so that a node that cannot write for
// days does not run out: half a block is left when the next one is asked for.
const idBlock = 1 << 32

// ids gives numbers below a limit that is on stable storage before any of them is given.
//
//	0 ── given ── last ────────── limit (on disk) ──── limit + block (asked of the writer)
type ids struct {
	block uint64
	last  atomic.Uint64
	limit atomic.Uint64
	asked atomic.Bool // the writer has been asked for the next block

	mu      sync.Mutex
	raised  *sync.Cond // limit has risen, or stopped
	stopped bool
}

// start begins after limit, the highest number that may have been given before.
func (n *ids) start(limit, block uint64) {
	n.block = block
	n.raised = sync.NewCond(&n.mu)
	n.last.Store(limit)
	n.limit.Store(limit)
}

// reserve begins a life, and sets aside its first block of numbers, after limit.
func (s *Store) reserve(limit, block uint64) error {
	s.ids.start(limit, block)
	var was string
	err := s.data.db.Update(func(tx *bolt.Tx) (err error) {
		meta := tx.Bucket(metaBucket)
		if s.self, was, err = beginLife(meta, s.cfg.Owner); err != nil {
			return err
		}
		return putNumber(meta, metaNext, limit+block)
	})
	if err != nil {
		return fmt.Errorf("reserve numbers: %w", err)
	}
	if was != "" && s.cfg.Owner != "" && was != s.cfg.Owner {
		s.cfg.Log.Warn("the data folder is a copy of another node's, or was handed over: it gets an identity of its own",
			"folder", s.cfg.Dir, "was", was, "node", s.cfg.Owner)
	}
	s.ids.reserved(limit + block)
	return nil
}

// NextID gives numbers that rise and are never given twice, restarts included; gaps are normal. Never 0.
// It does not wait for the disk, unless the disk has not taken the last reservation for two thousand
// million calls.
func (s *Store) NextID() uint64 {
	id := s.ids.last.Add(1)
	limit := s.ids.limit.Load()
	if id+s.ids.block/2 > limit && s.ids.asked.CompareAndSwap(false, true) {
		s.wake.Ring()
	}
	if id > limit {
		s.ids.wait(id)
	}
	return id
}

// wait returns when id may be given.
func (n *ids) wait(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id > n.limit.Load() && !n.stopped {
		n.raised.Wait()
	}
}

// reserved tells that numbers up to limit are safe to give.
func (n *ids) reserved(limit uint64) {
	n.mu.Lock()
	n.limit.Store(limit)
	n.asked.Store(n.last.Load()+n.block/2 > limit)
	n.mu.Unlock()
	n.raised.Broadcast()
}

// wanted reports whether the next block is to be reserved.
func (n *ids) wanted() bool { return n.asked.Load() }

// stop lets everybody go who waits: the store takes no more writes, so what they number is not kept.
func (n *ids) stop() {
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	n.raised.Broadcast()
}
