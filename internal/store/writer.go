package store

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
)

// writer is what belongs to the writer's goroutine alone.
//
//	          Commit                    take           commitGroup
//	caller ──────────→ queue (bounded) ──────→ group ───────────────→ tell, recycle
//	                                             │ failed: full, refused
//	                                             ├→ tell the error; pause, doubling up to maxPause; probe
//	                                             │ failed: fatal
//	                                             └→ tell the error to these and all that come; OnFatal
type writer struct {
	group  group
	pause  time.Duration        // before the next try; 0 = healthy
	dead   error                // fatal
	commit func(*bolt.Tx) error // nil = Commit; tests put failures here
}

const (
	minPause = 10 * time.Millisecond
	maxPause = time.Second
)

// Commit queues b for the writer and returns at once. Batches become stable in the order of their
// Commit calls, each whole or not at all; then every Waiter of b is told, in order, from the
// writer's goroutine. The store owns b from here on: it may be handed out again by NewBatch.
//
// An empty batch is told at once, from the caller's goroutine, and so possibly before an earlier one of
// the same caller; a batch that comes after Close is refused from there too.
func (s *Store) Commit(b *Batch) {
	if b.Empty() {
		b.tell(nil)
		s.recycle(b)
		return
	}
	if !s.enqueue(b) {
		s.count.refused.Inc()
		b.tell(ErrClosed)
		s.recycle(b)
		return
	}
	s.kick()
}

// enqueue is false after Close. A batch above the bound is queued as refused, with nothing but its waiters, so
// that they too are told by the writer.
func (s *Store) enqueue(b *Batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if b.err == nil && s.pending > 0 && s.pending+b.Size() > s.cfg.MaxPendingBytes {
		b.err = ErrBacklog
	}
	if b.err != nil {
		b.ops = nil
	}
	s.queue = append(s.queue, b)
	s.waiting++
	s.pending += b.Size()
	return true
}

// kick wakes the writer; one that is awake looks again before it sleeps.
func (s *Store) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write is the writer's goroutine.
func (s *Store) write() {
	defer close(s.done)
	debug.SetPanicOnFault(true)
	for {
		closing := s.rest()
		more := s.take()
		switch {
		case s.writer.dead != nil:
			s.finish(s.writer.dead)
		case more || s.ids.wanted() || s.writer.pause > 0:
			s.writeGroup()
		}
		if closing && !more {
			return
		}
	}
}

// rest waits until there is something to do and the pause after an error is over. closing tells
// that no more batches will come.
func (s *Store) rest() (closing bool) {
	if s.writer.pause > 0 {
		return s.sleep()
	}
	s.mu.Lock()
	idle := len(s.queue) == 0 && !s.closing && (s.writer.dead != nil || !s.ids.wanted())
	s.mu.Unlock()
	if idle {
		<-s.wake
	}
	return s.isClosing()
}

// sleep waits until the pause is over, or Close.
func (s *Store) sleep() (closing bool) {
	timer := time.NewTimer(s.writer.pause)
	defer timer.Stop()
	for !s.isClosing() {
		select {
		case <-timer.C:
			return s.isClosing()
		case <-s.wake:
		}
	}
	return true
}

func (s *Store) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// take moves as many batches as one transaction may have from the queue into the group.
func (s *Store) take() (some bool) {
	g := &s.writer.group
	g.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := 0, 0
	for n < len(s.queue) && n < s.cfg.MaxGroupBatches {
		size += s.queue[n].Size()
		if n > 0 && size > s.cfg.MaxGroupBytes {
			break
		}
		n++
	}
	g.batches = append(g.batches, s.queue[:n]...)
	left := copy(s.queue, s.queue[n:])
	clear(s.queue[left:])
	s.queue = s.queue[:left]
	return n > 0
}

// writeGroup commits the group and tells its waiters.
func (s *Store) writeGroup() {
	start := time.Now()
	how, err := s.commitGroup()
	if err != nil {
		s.failed(how, err)
		return
	}
	if s.writer.pause > 0 {
		s.writer.pause = 0
		s.health.Store(nil)
		s.cfg.Log.Info("store takes writes again")
	}
	s.count.commits.Inc()
	s.count.batches.Add(len(s.writer.group.batches))
	s.count.groupSize.Update(float64(len(s.writer.group.batches)))
	s.count.seconds.UpdateDuration(start)
	s.finish(nil)
}

// failed tells the group's waiters, and decides whether the store goes on.
func (s *Store) failed(how severity, err error) {
	err = fmt.Errorf("%w: %w", how.sentinel(), err)
	s.count.errors[how].Inc()
	if s.writer.pause == 0 || how == fatal {
		s.cfg.Log.Error("store cannot write", "folder", s.cfg.Dir, "error", err)
	}
	s.health.Store(&err)
	if how == fatal {
		s.die(err)
	} else {
		s.writer.pause = min(max(minPause, 2*s.writer.pause), maxPause)
	}
	s.finish(err)
}

// die makes the writer refuse everything from here on.
func (s *Store) die(err error) {
	s.writer.dead, s.writer.pause = err, 0
	s.ids.stop()
	if s.cfg.OnFatal != nil {
		go s.cfg.OnFatal(err) // ends by itself; not waited for, since it may call Close
	}
}

// finish tells the group's waiters and gives the batches back.
func (s *Store) finish(err error) {
	batches, size := s.writer.group.batches, 0
	for _, b := range batches {
		size += b.Size()
	}
	s.mu.Lock()
	s.waiting -= len(batches)
	s.pending -= size
	s.mu.Unlock()
	for _, b := range batches {
		why := err
		if b.err != nil {
			why = b.err
		}
		if why != nil {
			s.count.refused.Inc()
		}
		b.tell(why)
		s.recycle(b)
	}
}

func (s *Store) recycle(b *Batch) {
	if b.pooled && b.reset() {
		s.pool.Put(b)
	}
}

// commitGroup writes the group in one synced transaction, or none when it changes nothing.
func (s *Store) commitGroup() (how severity, err error) {
	tx, err := s.db.Begin(true)
	if err != nil {
		return fatal, fmt.Errorf("begin transaction: %w", err)
	}
	txid := tx.ID()
	defer func() {
		if r := recover(); r != nil {
			how, err = fatal, fmt.Errorf("database panicked: %v", r)
			abandon(tx)
		}
	}()
	done, limit, err := s.fill(tx)
	if err != nil {
		return fatal, errors.Join(err, tx.Rollback())
	}
	if done.strayReleases > 0 {
		s.cfg.Log.Warn("references to message bodies were given back that nobody had", "count", done.strayReleases)
		s.count.strayReleases.Add(done.strayReleases)
	}
	if done.writes == 0 {
		return 0, tx.Rollback()
	}
	if err := s.commitTx(tx); err != nil {
		return s.judgeCommit(txid, err), fmt.Errorf("commit: %w", err)
	}
	stats := tx.Stats()
	s.count.pageBytes.Add(int(stats.GetPageAlloc()) + pageSize)
	s.count.count(done)
	if limit > 0 {
		s.ids.reserved(limit)
	}
	return 0, nil
}

func (s *Store) commitTx(tx *bolt.Tx) error {
	if s.writer.commit != nil {
		return s.writer.commit(tx)
	}
	return tx.Commit()
}

// fill applies the group, the next block of numbers if it is wanted (limit > 0), and the probe after an error.
func (s *Store) fill(tx *bolt.Tx) (done applied, limit uint64, err error) {
	g := &s.writer.group
	for _, b := range g.batches {
		if b.err != nil {
			continue
		}
		if err := g.add(b); err != nil {
			return done, 0, err
		}
	}
	if done, err = g.apply(tx); err != nil {
		return done, 0, err
	}
	meta := tx.Bucket(metaBucket)
	if s.ids.wanted() {
		done.writes++
		limit = s.ids.limit.Load() + s.ids.block
		if err := putNumber(meta, metaNext, limit); err != nil {
			return done, 0, err
		}
	}
	if s.writer.pause > 0 {
		done.writes++
		err = putNumber(meta, metaProbe, uint64(tx.ID()))
	}
	return done, limit, err
}

// judgeCommit is judge, and fatal also when the failed transaction shows all the same: its head
// has reached the file although the call said no.
func (s *Store) judgeCommit(txid int, err error) severity {
	how := judge(err)
	if how == fatal {
		return fatal
	}
	shows := false
	if err := s.read(func(tx *bolt.Tx) error { shows = tx.ID() >= txid; return nil }); err != nil || shows {
		return fatal
	}
	return how
}

// abandon gives bbolt's writer lock back after a panic, so that Close does not hang.
func abandon(tx *bolt.Tx) {
	defer func() { _ = recover() }() // a second panic has nothing to add to the first
	_ = tx.Rollback()                // the first error is told already
}
