package store

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"mangrove/internal/batch"
	"mangrove/internal/bell"
	"mangrove/internal/oplog"
	"mangrove/internal/store/tree"
)

// checkpointer writes frozen deltas into the database, in a goroutine of its own, trims the log, and compacts the database.
//
//	writer: freeze ─work─▶ one synced transaction: sorted keys, applied index ─▶ drop ─▶ trim the log ─▶ turned
//	                           │ full, refused: pause, doubling up to maxPause; again
//	                           │ fatal: the store stops
type checkpointer struct {
	work   chan *delta // one at a time: there is one frozen delta
	turned bell.Bell   // a checkpoint has ended, or failed
	stop   chan struct{}
	done   chan struct{}

	asked   atomic.Bool           // the writer is to freeze as soon as it can
	failing atomic.Pointer[error] // why the last try failed; nil = it did not
	used    atomic.Int64          // bytes of the database in use
	took    time.Duration         // the last one; read after done
	commit  func(*bolt.Tx) error  // nil = Commit; see Faults
	compact compactor
}

func newCheckpointer() checkpointer {
	return checkpointer{
		work: make(chan *delta, 1), turned: bell.New(), stop: make(chan struct{}), done: make(chan struct{}),
		compact: compactor{asked: make(chan chan compacted)},
	}
}

// runCheckpoints is the checkpointer's goroutine.
func (s *Store) runCheckpoints() {
	defer close(s.ckpt.done)
	debug.SetPanicOnFault(true)
	tick := time.NewTicker(s.cfg.CheckpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ckpt.stop:
			return
		case <-tick.C:
			s.ckpt.asked.Store(true)
			s.wake.Ring()
			s.releasePages()
		case d := <-s.ckpt.work:
			if !s.persist(d) {
				return
			}
		case answer := <-s.ckpt.compact.asked:
			if !s.compactAsked(answer) {
				return
			}
		}
		if !s.compactIfDue(time.Now()) {
			return
		}
	}
}

// persist tries until d is in the database; false when it gave up: the store stops or closes.
func (s *Store) persist(d *delta) bool {
	pause := time.Duration(0)
	for {
		how, err := s.checkpoint(d)
		if err == nil {
			err = s.trim()
			how = fatal
		}
		if err == nil {
			s.ckpt.failing.Store(nil)
			s.turn()
			return true
		}
		s.count.checkpointErrors.Inc()
		err = fmt.Errorf("%w: checkpoint: %w", how.sentinel(), err)
		if how == fatal {
			s.doom(err)
			return false
		}
		if pause == 0 {
			s.cfg.Log.Error("store cannot write a checkpoint: the log grows until it can", "folder", s.cfg.Dir, "error", err)
		}
		s.ckpt.failing.Store(&err)
		s.turn()
		pause = min(max(minPause, 2*pause), maxPause)
		select {
		case <-s.ckpt.stop:
			return false
		case <-time.After(pause):
		}
	}
}

// turn wakes the writer, should it wait for the checkpoint, or rest.
func (s *Store) turn() {
	s.ckpt.turned.Ring()
	s.wake.Ring()
}

// written counts what a checkpoint wrote.
type written struct{ records, bodies, bytes int }

// checkpoint writes d into the database, in one transaction.
func (s *Store) checkpoint(d *delta) (how severity, err error) {
	start := time.Now()
	mark := s.unsynced.mark()
	if err := s.log.Sync(); err != nil { // the database must never be ahead of the log
		return fatal, err
	}
	s.unsynced.cover(mark)
	tx, err := s.data.db.Begin(true)
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
	done, err := s.fill(tx, d)
	if err != nil {
		return fatal, errors.Join(err, tx.Rollback())
	}
	if err := s.commitTx(tx); err != nil {
		return s.judgeCommit(txid, err), fmt.Errorf("commit: %w", err)
	}
	stats := tx.Stats()
	s.count.checkpointed(done, int(stats.GetPageAlloc())+pageSize, start)
	s.deltas.drop()
	s.ckpt.took = time.Since(start)
	s.noteUsed()
	s.releasePages()
	return 0, nil
}

// fill puts what d holds into tx, in the order of the keys.
func (s *Store) fill(tx *bolt.Tx, d *delta) (done written, err error) {
	for t := batch.Table(1); t <= batch.LastTable; t++ {
		if err := writeTable(tx, t, &d.tables[t], &done); err != nil {
			return done, fmt.Errorf("write to table %d: %w", t, err)
		}
	}
	if err := s.writeBodies(tx, d, &done); err != nil {
		return done, err
	}
	meta := tx.Bucket(metaBucket)
	if err := putNumber(meta, metaApplied, d.last); err != nil {
		return done, err
	}
	if next, _ := getNumber(meta, metaNext); d.limit > next {
		err = putNumber(meta, metaNext, d.limit)
	}
	return done, err
}

func writeTable(tx *bolt.Tx, t batch.Table, changes *tree.Tree[record], done *written) error {
	if changes.Len() == 0 {
		return nil
	}
	b, err := tableBucket(tx, t)
	if err != nil {
		return err
	}
	b.FillPercent = tableFill
	for c := changes.Seek(nil); c.Item() != nil; c.Next() {
		r := c.Item()
		done.records++
		if r.value == nil {
			err = b.Delete(r.key)
		} else {
			done.bytes += len(r.key) + len(r.value)
			err = b.Put(r.key, r.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tableFill is how full the pages of tables are made: many keys rise within their queue, so that little is added later.
const tableFill = 0.8

func (s *Store) commitTx(tx *bolt.Tx) error {
	if s.ckpt.commit != nil {
		return s.ckpt.commit(tx)
	}
	return tx.Commit()
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

// trim gives up the log records that the database has and nobody reads. Only a failed sync is an error: what could not be renamed or
// removed is met again at the next checkpoint.
func (s *Store) trim() error {
	last := s.deltas.unread()
	if last == 0 {
		return nil
	}
	err := s.log.Trim(last)
	if err != nil && !errors.Is(err, oplog.ErrUncertain) {
		s.cfg.Log.Warn("log is not trimmed", "folder", s.cfg.Dir, "error", err)
		return nil
	}
	return err
}

// releasePages gives back the memory of the database's pages that were read since the last time: they count as this process's, and a backlog that
// was drained would look like one that stays in memory. The checkpointer alone maps the file anew, so it stays where it is meanwhile.
func (s *Store) releasePages() {
	if err := releaseMapped(s.data.db.Info().Data, s.fileBytes()); err != nil {
		s.cfg.Log.Debug("pages of the database stay in memory", "error", err)
	}
}

// noteUsed takes note of how much of the database is in use.
func (s *Store) noteUsed() {
	free := s.data.db.Stats()
	s.ckpt.used.Store(s.fileBytes() - int64(free.FreePageN+free.PendingPageN)*pageSize)
}
