package store

import (
	"sync"
	"time"

	"mangrove/internal/batch"
)

// unsynced counts what is in the log and may not be on stable storage.
type unsynced struct {
	mu              sync.Mutex
	written, synced extent // since Open
}

type extent struct{ batches, bytes int }

func (u *unsynced) add(batches, bytes int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.written.batches += batches
	u.written.bytes += bytes
}

// mark is what there is before a sync; cover says that the sync was made. The writer and the checkpointer sync.
func (u *unsynced) mark() extent {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.written
}

func (u *unsynced) cover(to extent) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if to.batches > u.synced.batches {
		u.synced = to
	}
}

func (u *unsynced) now() extent {
	u.mu.Lock()
	defer u.mu.Unlock()
	return extent{u.written.batches - u.synced.batches, u.written.bytes - u.synced.bytes}
}

// noteSlack notes when the log has to be synced, after the group was written with that slack.
func (s *Store) noteSlack(slack batch.Slack) {
	if slack == batch.Synced {
		s.unsynced.cover(s.unsynced.mark())
		s.writer.syncAt = time.Time{}
		return
	}
	s.unsynced.add(len(s.writer.group.batches), len(s.writer.buf))
	s.writer.syncWithin(slack)
}

// syncWithin has what is unsynced synced in that time.
func (w *writer) syncWithin(slack batch.Slack) {
	if slack == batch.Unsynced {
		return
	}
	if at := time.Now().Add(time.Duration(slack)); w.syncAt.IsZero() || at.Before(w.syncAt) {
		w.syncAt = at
	}
}

// settleEarlier handles a group that changes nothing because earlier groups, perhaps unsynced, already did: those become as stable as this
// one asks.
func (s *Store) settleEarlier(slack batch.Slack) error {
	switch {
	case s.unsynced.now().batches == 0:
		return nil
	case slack == batch.Synced:
		return s.sync()
	}
	s.writer.syncWithin(slack)
	return nil
}

// sync makes stable what was written without.
func (s *Store) sync() error {
	if err := s.log.Sync(); err != nil {
		return err
	}
	s.noteSlack(batch.Synced)
	return nil
}
