package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"mangrove/internal/batch"
	"mangrove/internal/bell"
	"mangrove/internal/oplog"
	"mangrove/internal/store/window"
)

// Store is safe for concurrent use.
type Store struct {
	cfg    Config
	lock   *os.File
	data   dataFiles
	log    oplog.Log
	deltas deltas
	id     uint64 // of the database, which the log's records carry
	self   self
	ids    ids
	clock  clock
	pool   batch.Pool
	waits  sync.Pool // of answer, those nobody waits for
	count  counters

	health atomic.Pointer[error] // nil = healthy
	doomed atomic.Pointer[error] // a checkpoint failed for good; the writer stops the store
	writer writer
	ckpt   checkpointer

	unsynced unsynced

	mu      sync.Mutex
	queue   []*batch.Batch
	pending int // bytes in queue and in the group being written
	waiting int // batches in queue and in the group being written
	come    window.Tally
	since   time.Time // when the oldest batch in queue came, or an older one that was in the same queue
	closing bool      // Commit refuses

	wake bell.Bell     // there is something for the writer; one that is awake looks again before it sleeps
	done chan struct{} // the writer has ended

	close  sync.Once
	closed error
}

// Open opens or makes the store in cfg.Dir. A folder in use, made by a newer version, or damaged
// is refused with what to do; errors.Is tells ErrLocked, ErrNewer and ErrDamaged.
func Open(cfg Config) (*Store, error) { return open(cfg, idBlock) }

func open(cfg Config, block uint64) (*Store, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := makeFolder(cfg.Dir); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := lockFolder(cfg.Dir, cfg.LockTimeout)
	if err != nil {
		return nil, fmt.Errorf("open data folder %s: %w", cfg.Dir, err)
	}
	s := &Store{cfg: cfg, lock: lock, wake: bell.New(), done: make(chan struct{}), ckpt: newCheckpointer()}
	s.ckpt.commit = cfg.Faults.commit()
	s.writer.window.Max = cfg.GroupWindow
	s.count = newCounters(cfg.Metrics)
	s.startClock()
	if err := s.load(block); err != nil {
		return nil, errors.Join(fmt.Errorf("open data folder %s: %w", cfg.Dir, err), s.closeFiles())
	}
	s.count.watch(s, cfg.Metrics)
	go s.write()          // ends with Close, which waits for done
	go s.runCheckpoints() // ends with Close, which waits for ckpt.done
	go s.clock.run(s)     // ends with Close, which waits for clock.done
	return s, nil
}

// load opens the database and the log, brings the state to the end of the log, adds the tables that this version has more, and sets
// aside the first numbers.
func (s *Store) load(block uint64) error {
	db, made, err := openDatabase(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.data.db = db
	var h heading
	if err := s.read(func(tx *bolt.Tx) (err error) { h, err = readFormat(tx); return err }); err != nil {
		return err
	}
	s.id = h.id
	if s.log, err = openLog(s.cfg, h, made); err != nil {
		return err
	}
	if err := db.Update(layOut); err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	s.noteUsed()
	s.releasePages() // bbolt has read them all, to know which ones are free
	if err := s.replay(h.applied); err != nil {
		return err
	}
	return s.reserve(max(h.next, s.deltas.active.limit), block)
}

// NewBatch returns an empty batch. Its memory is used again after the batch was told.
func (s *Store) NewBatch() *batch.Batch { return s.pool.Get() }

// Get returns a copy of the value under key, nil when there is none. It sees what is committed.
func (s *Store) Get(t batch.Table, key []byte) (value []byte, err error) {
	t.MustExist()
	if len(key) == 0 || len(key) > batch.MaxKey {
		return nil, nil
	}
	err = s.view(func(v *view) error {
		key := storedKey(key)
		stored, _, err := v.lookup(t, key)
		if err == nil && stored != nil {
			value, err = cloneValue(t, key, stored)
		}
		return err
	})
	return value, err
}

func cloneValue(t batch.Table, stored, v []byte) ([]byte, error) {
	v = loadedValue(stored, v)
	if v == nil {
		return nil, fmt.Errorf("read from table %d: %w: a record has no known form", t, ErrDamaged)
	}
	return append(make([]byte, 0, len(v)-1), v[1:]...), nil
}

// Body returns a copy of a message body, nil when there is none.
func (s *Store) Body(id uint64) (body []byte, err error) {
	err = s.Bodies([]uint64{id}, func(_ int, b []byte) bool {
		body = bytes.Clone(b)
		return true
	})
	return body, err
}

// Bodies visits the message bodies of ids in that order, as of one moment, while visit returns true; body is nil
// when there is none. It is valid only during the call, and visit must not call the Store.
func (s *Store) Bodies(ids []uint64, visit func(i int, body []byte) bool) error {
	return s.view(func(v *view) error {
		for i, id := range ids {
			body, err := v.body(id)
			if err != nil {
				return err
			}
			if !visit(i, body) {
				return nil
			}
		}
		return nil
	})
}

// Scan visits the keys from <= key < to in order (to nil = end of table) while visit returns true, as of one
// moment. k and v are valid only during the call. visit must not call the Store. Commits do not wait for a Scan, but the memory of what
// it sees is not given back, and a checkpoint may have to wait: read much in several ones.
func (s *Store) Scan(t batch.Table, from, to []byte, visit func(k, v []byte) bool) error {
	t.MustExist()
	return s.view(func(v *view) error {
		var bad error
		err := v.scan(t, storedKey(from), storedBound(to), func(key, stored []byte, _ bool) bool {
			value := loadedValue(key, stored)
			if value == nil {
				bad = fmt.Errorf("read from table %d: %w: a record has no known form", t, ErrDamaged)
				return false
			}
			return visit(loadedKey(key, stored), value[1:])
		})
		return errors.Join(err, bad)
	})
}

// read runs fn in a read transaction. A page that cannot be read from the disk becomes an error.
func (s *Store) read(fn func(tx *bolt.Tx) error) (err error) {
	if s.health.Load() != nil {
		if err := *s.health.Load(); errors.Is(err, ErrFatal) {
			return err
		}
	}
	db := s.data.use()
	defer s.data.leave(db)
	tx, err := db.Begin(false)
	if err != nil {
		if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			return ErrClosed
		}
		return fmt.Errorf("read: %w", err)
	}
	defer tx.Rollback() // of a read transaction: fails only when it has ended
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(interface{ Addr() uintptr }); !ok {
				panic(r)
			}
			err = fmt.Errorf("read: %w: %v", ErrDamaged, r)
		}
	}()
	return fn(tx)
}

// Healthy is nil while writes can be accepted; else why not (disk full, I/O error). While it tells
// ErrFull or ErrWrite batches are still tried: those that only remove may well succeed.
func (s *Store) Healthy() error {
	if err := s.health.Load(); err != nil {
		return *err
	}
	return nil
}

// Pending is what has been committed and is not stable yet: callers slow down by it.
func (s *Store) Pending() (batches, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting, s.pending
}

// fileBytes is the size of state.db.
func (s *Store) fileBytes() (n int64) {
	err := s.read(func(tx *bolt.Tx) error {
		n = tx.Size()
		return nil
	})
	if err != nil {
		return 0 // closed: a gauge has nobody to tell
	}
	return n
}

// Close commits what is queued, writes a checkpoint, so that the next Open has nothing to replay, and closes the files. It may be
// called twice; both wait.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.mu.Lock()
		s.closing = true
		s.mu.Unlock()
		s.wake.Ring()
		<-s.done
		s.ids.stop()
		close(s.ckpt.stop)
		<-s.ckpt.done
		close(s.clock.stop)
		<-s.clock.done
		s.closed = errors.Join(s.lastCheckpoint(), s.closeFiles())
	})
	return s.closed
}

// slowCheckpoint is how long the last checkpoint may have taken for Close to write another one. Without it the next Open replays the log.
const slowCheckpoint = 3 * time.Second

// lastCheckpoint writes what has changed, when that is likely to be quick. What cannot be written is in the log.
func (s *Store) lastCheckpoint() error {
	active, _ := s.deltas.size()
	if s.writer.dead != nil || s.doomed.Load() != nil || active.logged == 0 || s.ckpt.took > slowCheckpoint {
		return nil
	}
	if s.deltas.busy() {
		return nil // the one before it could not be written
	}
	how, err := s.checkpoint(s.deltas.freeze())
	if err == nil {
		err, how = s.trim(), fatal
	}
	switch {
	case err == nil:
		return nil
	case how == fatal:
		return fmt.Errorf("%w: checkpoint: %w", ErrFatal, err)
	}
	s.cfg.Log.Warn("no checkpoint at the end: the next start replays the log", "folder", s.cfg.Dir, "error", err)
	return nil
}

// closeFiles closes those that are open, the database first: that waits for readers, who may need the log.
func (s *Store) closeFiles() (err error) {
	if s.data.db != nil {
		err = s.data.close()
	}
	if s.log != nil {
		err = errors.Join(err, s.log.Close())
	}
	return errors.Join(err, s.lock.Close())
}
