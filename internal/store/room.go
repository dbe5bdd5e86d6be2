package store

import (
	"errors"
	"fmt"
	"math"
	"time"

	"mangrove/internal/oplog"
)

// smallBatch is what may still be added when only the last sixteenth of MaxFileBytes is left: settled messages and records of
// sessions, without which nothing that is queued could go out.
const smallBatch = 1 << 10

// room tells whether a batch that adds so many bytes may be written, when others before it add more; it wraps ErrFull when not.
func (s *Store) room(adds, more int) error {
	if adds == 0 {
		return s.roomForNothing()
	}
	active, frozen := s.deltas.size()
	if bound := s.cfg.MaxFileBytes; bound > 0 {
		if adds > smallBatch {
			bound -= bound / 16
		}
		used := int(s.ckpt.used.Load()) + active.growth + frozen.growth + more
		if used+adds > bound {
			return fmt.Errorf("%w: %d bytes are to be added to %d, allowed are %d", ErrFull, adds, used, s.cfg.MaxFileBytes)
		}
	}
	if err := s.allocate(active.growth + frozen.growth + more + adds); err != nil {
		return err
	}
	failing := s.ckpt.failing.Load()
	if failing == nil {
		return nil
	}
	if active.memory >= s.cfg.MaxDeltaBytes {
		return fmt.Errorf("%w: no checkpoint can be written, and memory for changes is used up: %w", ErrFull, *failing)
	}
	if size := s.log.Size(); size > int64(s.cfg.MaxLogBytes) {
		return fmt.Errorf("%w: no checkpoint can be written, and the log has grown to %d bytes: %w", ErrFull, size, *failing)
	}
	return nil
}

// What is set aside on the disk for the next checkpoint beside the bytes that it adds: for the changed pages of the database, which are written
// anew before the old ones are free.
const (
	allocateStep  = 128 << 10
	allocateSpare = 64 << 10
)

// roomFor is how large the database may be after a checkpoint that grows it so much.
func roomFor(used int64, growth int) int64 {
	return used + used/8 + int64(max(0, growth))*5/4 + allocateSpare
}

// allocate sees to it that the file system has blocks for the next checkpoint, which grows the database by growth bytes: what is in
// the log must not wait for room that may never come. It wraps ErrFull.
func (s *Store) allocate(growth int) error {
	db := s.data.use()
	defer s.data.leave(db)
	want := roomFor(s.ckpt.used.Load(), growth)
	if want <= db.allocated {
		return nil
	}
	want = (want + allocateStep - 1) / allocateStep * allocateStep
	err := allocateBlocks(db.file.Fd(), want)
	if err != nil && noRoom(err) == full {
		return fmt.Errorf("%w: set %d bytes aside for %s: %w", ErrFull, want, dataFile, err)
	}
	if err != nil { // not every file system can; a full disk is then met by the checkpoint itself
		s.cfg.Log.Debug("no room is set aside for the database", "error", err)
		want = math.MaxInt64
	}
	db.allocated = want
	return nil
}

// roomForNothing is for batches that only remove.
func (s *Store) roomForNothing() error {
	failing := s.ckpt.failing.Load()
	if failing == nil {
		return nil
	}
	if size := s.log.Size(); size > 2*int64(s.cfg.MaxLogBytes) {
		return fmt.Errorf("%w: no checkpoint can be written, and the log has grown to %d bytes: %w", ErrFull, size, *failing)
	}
	return nil
}

// admit refuses those batches of the group for which there is no room.
func (s *Store) admit() {
	more := 0
	for _, b := range s.writer.group.batches {
		if b.Err() != nil {
			continue
		}
		if err := s.room(b.Adds(), more); err != nil {
			b.Refuse(err)
			s.noteFull(err)
			continue
		}
		more += b.Adds()
	}
}

// noteFull notes that something was refused for want of room. The store is not healthy until there is roomAgain.
func (s *Store) noteFull(err error) {
	w := &s.writer
	if w.fullRetry == 0 {
		s.cfg.Log.Error("store is full", "folder", s.cfg.Dir, "error", err)
		s.count.errors[full].Inc()
		w.fullRetry = minPause
	}
	w.lookAgain = time.Now().Add(w.fullRetry)
	s.health.Store(&err)
}

// roomAgain is how much room there has to be until a full store is healthy. Less would be gone with the next few messages, and the health
// would go to and fro with each one that is removed. Small batches are accepted before.
const roomAgain = 1 << 20

// lookForRoom looks whether there is room again. What was removed may make some only with a checkpoint.
func (s *Store) lookForRoom(now time.Time) {
	w := &s.writer
	if w.fullRetry == 0 || w.dead != nil || now.Before(w.lookAgain) {
		return
	}
	if err := s.ample(); err != nil {
		s.health.Store(&err)
		s.ckpt.asked.Store(true)
		w.fullRetry = min(2*w.fullRetry, maxPause)
		w.lookAgain = now.Add(w.fullRetry)
		return
	}
	w.fullRetry = 0
	if w.pause == 0 {
		s.health.Store(nil)
		s.cfg.Log.Info("store has room again", "folder", s.cfg.Dir)
	}
}

// ample tells whether database and log have roomAgain.
func (s *Store) ample() error {
	want := roomAgain
	if bound := s.cfg.MaxFileBytes; bound > 0 {
		want = min(want, bound/16)
	}
	if err := s.room(max(want, smallBatch+1), 0); err != nil {
		return err
	}
	if err := s.log.Stock(); err != nil && !errors.Is(err, oplog.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return nil
}

// refuseAdding refuses the batches of the group that add something, because the disk has no room; left tells whether there are others.
func (s *Store) refuseAdding(err error) (left bool) {
	for _, b := range s.writer.group.batches {
		switch {
		case b.Err() != nil:
		case b.Adds() > 0:
			b.Refuse(err)
		default:
			left = true
		}
	}
	return left
}

// commitRemovals is for a group that found the disk full: the batches that add something are refused, and the others may use the room
// that the log has kept for them.
func (s *Store) commitRemovals(cause error) (how severity, err error) {
	w := &s.writer
	s.ckpt.asked.Store(true) // with a checkpoint what is removed makes room
	if !s.refuseAdding(cause) {
		return full, cause
	}
	w.last = true
	how, err = s.commitGroup()
	w.last = false
	if err == nil {
		s.noteFull(cause)
		w.pause = max(minPause, w.pause) // the probe tells when there is room again
		s.finish(nil)
	}
	return how, err
}

// awaitCheckpoint has commits wait while a checkpoint is under way and what came after it is as large as it may be.
func (s *Store) awaitCheckpoint() {
	for s.ckpt.failing.Load() == nil && s.doomed.Load() == nil && s.deltas.busy() {
		active, _ := s.deltas.size()
		if active.memory < s.cfg.MaxDeltaBytes && active.logged < 2*int64(s.cfg.CheckpointBytes) {
			return
		}
		<-s.ckpt.turned
	}
}

// freezeIfDue hands what has changed to the checkpointer, when it is enough or was asked for.
func (s *Store) freezeIfDue() {
	if s.writer.dead != nil || s.deltas.busy() {
		return
	}
	active, _ := s.deltas.size()
	asked := s.ckpt.asked.Swap(false)
	if active.logged == 0 {
		return
	}
	if asked || active.memory >= s.cfg.MaxDeltaBytes || active.logged >= int64(s.cfg.CheckpointBytes) {
		s.ckpt.work <- s.deltas.freeze()
	}
}
