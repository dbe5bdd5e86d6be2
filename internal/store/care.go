package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"mangrove/internal/batch"
)

// Report is what Check found.
type Report struct {
	Records    map[batch.Table]int
	Bodies     int      // message bodies
	References int      // of records to bodies
	Loose      int      // bodies with more references than records hold: those of Keep
	Replayed   int      // log records after the last checkpoint
	FileBytes  int64    // of state.db
	UsedBytes  int64    // of state.db without free pages
	Problems   []string // the first maxProblems
	Found      int      // how many problems there are
}

// maxProblems bounds Report.Problems.
const maxProblems = 100

func (r *Report) problem(format string, args ...any) {
	if r.Found++; len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Check opens the store in dir, which nobody else has open, brings it up to date with its log, and reads all of it: every record, every body, every
// reference. An error tells that it does not open; what is wrong inside is in the report.
func Check(dir string) (Report, error) {
	if _, err := os.Stat(filepath.Join(dir, dataFile)); err != nil {
		return Report{}, fmt.Errorf("check data folder: %w", err)
	}
	s, err := Open(Config{Dir: dir})
	if err != nil {
		return Report{}, err
	}
	r, err := s.Report()
	return r, errors.Join(err, s.Close())
}

// Report reads all there is, as of one moment, while the store goes on.
func (s *Store) Report() (Report, error) {
	r := Report{Records: map[batch.Table]int{}, Replayed: int(s.count.replayed.Get()), FileBytes: s.fileBytes(), UsedBytes: s.ckpt.used.Load()}
	err := s.view(r.look)
	return r, err
}

// look reads everything.
func (r *Report) look(v *view) error {
	held := map[uint64]int{} // references of records, by body
	for t := batch.Table(1); t <= batch.LastTable; t++ {
		err := v.scan(t, nil, nil, func(key, stored []byte, _ bool) bool {
			r.Records[t]++
			value := loadedValue(key, stored)
			if value == nil {
				r.problem("table %d, key %x: the record has no known form", t, key)
			}
			if id, ok := value.Ref(); ok {
				held[id]++
				r.References++
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return r.lookAtBodies(v, held)
}

func (r *Report) lookAtBodies(v *view, held map[uint64]int) error {
	err := v.eachBody(func(id uint64) error {
		k, _, err := v.kept(id)
		if err != nil || k.refs == 0 {
			return err
		}
		r.Bodies++
		body, err := v.body(id)
		switch {
		case errors.Is(err, ErrDamaged) || err == nil && body == nil:
			r.problem("body %d: its bytes are missing or changed: %v", id, err)
		case err != nil:
			return err
		}
		if k.refs < held[id] {
			r.problem("body %d: %d records refer to it, counted are %d", id, held[id], k.refs)
		} else if k.refs > held[id] {
			r.Loose++
		}
		delete(held, id)
		return nil
	})
	for id, n := range held {
		r.problem("body %d: %d records refer to it, and it is not there", id, n)
	}
	return err
}

// eachBody visits the ids of bodies in the database and the layers, some of which may be gone.
func (v *view) eachBody(visit func(id uint64) error) error {
	seen := map[uint64]bool{}
	for _, l := range v.layers {
		if l == nil {
			continue
		}
		for c := l.bodies.Seek(nil); c.Item() != nil; c.Next() {
			if id := c.Item().id; !seen[id] {
				seen[id] = true
				if err := visit(id); err != nil {
					return err
				}
			}
		}
	}
	b := v.tx.Bucket(bodiesBucket)
	if b == nil {
		return errNoBodies
	}
	return b.ForEach(func(key, _ []byte) error {
		id, ok := bodyID(key)
		if !ok {
			return fmt.Errorf("%w: body key %x", ErrDamaged, key)
		}
		if seen[id] {
			return nil
		}
		return visit(id)
	})
}

// Backup writes the state of a moment after the call to w, while the store goes on. Restore reads it. It waits for a checkpoint, and
// the database grows while a slow w takes its time.
func (s *Store) Backup(w io.Writer) error {
	if err := s.flush(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	err := s.read(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

// flushPoll is how often flush looks whether the checkpoint is done.
const flushPoll = 5 * time.Millisecond

// flush waits until the database holds all that was stable when it was called.
func (s *Store) flush() error {
	_, target := s.log.Bounds()
	for {
		var h heading
		if err := s.read(func(tx *bolt.Tx) (err error) { h, err = readFormat(tx); return err }); err != nil {
			return err
		}
		if h.applied >= target {
			return nil
		}
		if failing := s.ckpt.failing.Load(); failing != nil {
			return *failing
		}
		s.ckpt.asked.Store(true)
		s.wake.Ring()
		select {
		case <-s.done:
			return ErrClosed
		case <-time.After(flushPoll):
		}
	}
}

// Restore makes a store in dir, which has none, from what Backup wrote. The store gets a new id: to its neighbours, also
// those of the version before lives, it is a new origin, so that numbers it gives again are not taken for repeats.
func Restore(r io.Reader, dir string) error {
	err := inFolder(dir, func() error {
		if _, err := os.Stat(filepath.Join(dir, dataFile)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is a store already (%v): restore to an empty folder", err)
		}
		if _, err := os.Stat(logPath(dir)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is a log already (%v): restore to an empty folder", err)
		}
		return restore(r, dir)
	})
	if err != nil {
		return fmt.Errorf("restore to %s: %w", dir, err)
	}
	return nil
}

func restore(r io.Reader, dir string) error {
	path := filepath.Join(dir, newFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := checkFile(path); err != nil {
		return fmt.Errorf("the backup is no good: %w", err)
	}
	db, err := openFile(path)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := readFormat(tx); err != nil {
			return err
		}
		meta := tx.Bucket(metaBucket)
		_, err := renew(meta, readSelf(meta))
		return errors.Join(err, meta.Delete(metaApplied), putNumber(meta, metaID, newID())) // no log of its own yet
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return putInPlace(dir)
}

// putInPlace makes the new database the one of the folder.
func putInPlace(dir string) error {
	if err := os.Rename(filepath.Join(dir, newFile), filepath.Join(dir, dataFile)); err != nil {
		return err
	}
	return syncFolder(dir)
}

// inFolder runs fn while no other process uses dir.
func inFolder(dir string, fn func() error) error {
	if err := makeFolder(dir); err != nil {
		return err
	}
	lock, err := lockFolder(dir, defaultLockTimeout)
	if err != nil {
		return err
	}
	return errors.Join(fn(), lock.Close())
}
