package store

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/store/window"
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
	todo   plan
	buf    []byte        // of the log record
	pause  time.Duration // before the next try; 0 = the log takes writes
	dead   error         // fatal
	window window.Window
	since  time.Time // when the first batch of the group came
	syncAt time.Time // when what is unsynced in the log has to be; zero = at no certain time

	last      bool          // the log's last room may be used
	fullRetry time.Duration // how long to wait before looking for room again; 0 = there is room
	lookAgain time.Time
}

const (
	minPause = 10 * time.Millisecond
	maxPause = time.Second
)

// write is the writer's goroutine.
func (s *Store) write() {
	defer close(s.done)
	debug.SetPanicOnFault(true)
	for {
		closing := s.rest()
		s.tend()
		taken := s.take()
		switch {
		case s.writer.dead != nil:
			s.finish(s.writer.dead)
		case taken || s.ids.wanted() || s.writer.pause > 0:
			s.writeGroup()
			s.awaitCheckpoint()
		}
		s.freezeIfDue()
		if closing && !taken {
			return
		}
	}
}

// tend does what is due whether there are batches or not.
func (s *Store) tend() {
	w := &s.writer
	now := time.Now()
	if err := s.doomed.Load(); err != nil && w.dead == nil {
		s.cfg.Log.Error("store cannot write", "folder", s.cfg.Dir, "error", *err)
		s.count.errors[fatal].Inc()
		s.die(*err)
	}
	if w.dead == nil && !w.syncAt.IsZero() && !now.Before(w.syncAt) {
		if err := s.sync(); err != nil {
			s.failed(fatal, err)
		}
	}
	s.lookForRoom(now)
}

// rest waits until there is something to do and the pause after an error is over. closing tells
// that no more batches will come.
func (s *Store) rest() (closing bool) {
	if s.writer.pause > 0 {
		return s.sleep(s.writer.pause)
	}
	s.mu.Lock()
	idle := len(s.queue) == 0 && !s.closing && (s.writer.dead != nil || !s.ids.wanted())
	s.mu.Unlock()
	if idle {
		s.doze()
	}
	return s.gatherMore()
}

// gatherMore waits for more batches as long as the window says.
func (s *Store) gatherMore() (closing bool) {
	for {
		wait := s.mayWait(time.Now())
		if wait <= 0 {
			return s.isClosing()
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.wake:
			timer.Stop()
		}
	}
}

// mayWait is how long the group may wait for more batches. None waits unless somebody wants it synced: only that costs the device something.
func (s *Store) mayWait(now time.Time) time.Duration {
	w := &s.writer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || w.dead != nil || s.ids.wanted() || len(s.queue) >= s.cfg.MaxGroupBatches ||
		!slices.ContainsFunc(s.queue, func(b *batch.Batch) bool { return b.Slack() == batch.Synced }) {
		return 0
	}
	wait := w.window.Wait(now, s.come, s.pending)
	if wait > 0 && !w.syncAt.IsZero() {
		wait = min(wait, w.syncAt.Sub(now))
	}
	return wait
}

// doze waits to be woken, or until tend has something to do.
func (s *Store) doze() {
	w := &s.writer
	at := w.syncAt
	if w.fullRetry > 0 && (at.IsZero() || w.lookAgain.Before(at)) {
		at = w.lookAgain
	}
	if at.IsZero() || w.dead != nil {
		<-s.wake
		return
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.wake:
	}
}

// sleep waits until d is over, or Close.
func (s *Store) sleep(d time.Duration) (closing bool) {
	timer := time.NewTimer(d)
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

// take moves as many batches as one transaction may have from the queue into the group; taken tells whether there were any.
func (s *Store) take() (taken bool) {
	g := &s.writer.group
	g.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.queue) && n < s.cfg.MaxGroupBatches {
		size := s.queue[n].Size()
		if n > 0 && g.size+size > s.cfg.MaxGroupBytes {
			break
		}
		g.size += size
		n++
	}
	g.batches = append(g.batches, s.queue[:n]...)
	s.writer.since = s.since
	left := copy(s.queue, s.queue[n:])
	clear(s.queue[left:])
	s.queue = s.queue[:left]
	return n > 0
}

// writeGroup commits the group and tells its waiters.
func (s *Store) writeGroup() {
	start := time.Now()
	s.writer.window.Wrote(start)
	s.admit()
	how, err := s.commitGroup()
	if err != nil && how == full {
		if how, err = s.commitRemovals(fmt.Errorf("%w: %w", ErrFull, err)); err == nil {
			return
		}
	}
	if err != nil {
		s.failed(how, err)
		return
	}
	if s.writer.pause > 0 {
		s.writer.pause = 0
		if s.writer.fullRetry == 0 {
			s.health.Store(nil)
			s.cfg.Log.Info("store takes writes again", "folder", s.cfg.Dir)
		}
	}
	s.count.batches.Add(len(s.writer.group.batches))
	s.count.groupSize.Update(float64(len(s.writer.group.batches)))
	now := time.Now()
	s.count.seconds.Update(now.Sub(start).Seconds())
	if len(s.writer.group.batches) > 0 {
		s.count.told(s.writer.since, now)
	}
	s.finish(nil)
}

// finish tells the group's waiters and gives the batches back.
func (s *Store) finish(err error) {
	batches := s.writer.group.batches
	s.mu.Lock()
	s.waiting -= len(batches)
	s.pending -= s.writer.group.size
	s.mu.Unlock()
	for _, b := range batches {
		if err != nil || b.Err() != nil {
			s.count.refused.Inc()
		}
		b.Settle(err)
	}
	s.writer.group.reset() // they are told once
}

// commitGroup writes the group to the log as one record, and makes it part of the active delta; nothing is written when it
// changes nothing.
func (s *Store) commitGroup() (how severity, err error) {
	defer func() {
		if r := recover(); r != nil {
			how, err = fatal, fmt.Errorf("database panicked: %v", r)
		}
	}()
	w := &s.writer
	slack, err := s.gather()
	if err == nil {
		err = s.plan()
	}
	if err != nil {
		return fatal, err
	}
	limit := uint64(0)
	if s.ids.wanted() {
		limit = s.ids.limit.Load() + s.ids.block
	}
	if w.todo.done.writes == 0 && limit == 0 && w.pause == 0 {
		return fatal, s.settleEarlier(slack)
	}
	if limit > 0 || w.pause > 0 {
		slack = batch.Synced
	}
	return s.logGroup(slack, limit)
}

// gather puts the operations of the batches together, and tells the least slack among them.
func (s *Store) gather() (slack batch.Slack, err error) {
	g := &s.writer.group
	g.clear()
	slack = batch.Unsynced
	for _, b := range g.batches {
		if b.Err() != nil {
			continue
		}
		slack = min(slack, b.Slack())
		if err := g.add(b.Ops(), 0); err != nil {
			return slack, err
		}
	}
	return slack, nil
}

// plan works out what the group changes.
func (s *Store) plan() error {
	s.writer.todo.reset()
	v := s.deltas.writersView(s)
	db := s.data.use()
	defer s.data.leave(db)
	tx, err := db.Begin(false)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer tx.Rollback() // of a read transaction: fails only when it has ended
	v.tx = tx
	return s.writer.todo.make(&s.writer.group, v)
}

func (s *Store) logGroup(slack batch.Slack, limit uint64) (how severity, err error) {
	w := &s.writer
	w.buf = appendRecordHead(w.buf[:0], s.id, limit)
	w.buf = w.todo.encode(w.buf)
	index, err := s.log.Append(w.buf, w.last)
	if err != nil {
		return judgeLog(err), err
	}
	if w.last {
		slack = batch.Synced
	}
	if slack == batch.Synced {
		if err := s.log.Sync(); err != nil {
			return fatal, err
		}
	}
	s.noteSlack(slack)
	s.count.logged(len(w.buf), w.todo.done)
	s.install(index, limit, len(w.buf))
	if limit > 0 {
		s.ids.reserved(limit)
	}
	if cap(w.buf) > maxKeptBuffer {
		w.buf = nil
	}
	return 0, nil
}

// maxKeptBuffer is the largest buffer that is kept for the next record.
const maxKeptBuffer = 1 << 20

// install makes the plan part of the active delta. Readers see it whole or not at all.
func (s *Store) install(index, limit uint64, size int) {
	s.deltas.change(func(d *delta) {
		s.writer.todo.install(d, index)
		d.logged += int64(size)
		d.limit = max(d.limit, limit)
	})
}
