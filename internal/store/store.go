package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Store is safe for concurrent use.
type Store struct {
	cfg   Config
	lock  *os.File
	db    *bolt.DB
	id    uint64
	ids   ids
	pool  sync.Pool // of *Batch
	count counters

	health atomic.Pointer[error] // nil = healthy
	writer writer

	mu      sync.Mutex
	queue   []*Batch
	pending int  // bytes in queue and in the group being written
	waiting int  // batches in queue and in the group being written
	closing bool // Commit refuses

	wake chan struct{} // there is something for the writer
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
	db, err := openDatabase(cfg.Dir, cfg.MaxFileBytes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open data folder %s: %w", cfg.Dir, err), lock.Close())
	}
	s := &Store{cfg: cfg, lock: lock, db: db, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if err := s.load(block); err != nil {
		return nil, errors.Join(fmt.Errorf("open data folder %s: %w", cfg.Dir, err), db.Close(), lock.Close())
	}
	s.pool.New = func() any { return &Batch{pooled: true} }
	s.count = newCounters(cfg.Metrics)
	s.count.watch(s, cfg.Metrics)
	go s.write() // ends with Close, which waits for done
	return s, nil
}

// load checks the format, adds the tables that this version has more, and sets aside the first numbers.
func (s *Store) load(block uint64) error {
	var limit uint64
	err := s.read(func(tx *bolt.Tx) error {
		var err error
		s.id, err = readFormat(tx)
		if err == nil {
			limit, _ = getNumber(tx.Bucket(metaBucket), metaNext)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.ids.start(limit, block)
	err = s.db.Update(func(tx *bolt.Tx) error {
		if err := layOut(tx); err != nil {
			return err
		}
		return putNumber(tx.Bucket(metaBucket), metaNext, limit+block)
	})
	if err != nil {
		return fmt.Errorf("reserve numbers: %w", err)
	}
	s.ids.reserved(limit + block)
	return nil
}

// ID is random and was made with the database. Never 0.
func (s *Store) ID() uint64 { return s.id }

// NewBatch returns an empty batch. Its memory is used again after the batch was told.
func (s *Store) NewBatch() *Batch { return s.pool.Get().(*Batch) }

// Get returns a copy of the value under key, nil when there is none. It sees what is committed.
func (s *Store) Get(t Table, key []byte) (value []byte, err error) {
	t.mustExist()
	if len(key) == 0 || len(key) > MaxKey {
		return nil, nil
	}
	err = s.read(func(tx *bolt.Tx) error {
		b, err := tableBucket(tx, t)
		if err != nil {
			return err
		}
		key := storedKey(key)
		if v := b.Get(key); v != nil {
			value, err = cloneValue(t, key, v)
		}
		return err
	})
	return value, err
}

func cloneValue(t Table, stored, v []byte) ([]byte, error) {
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
	return s.read(func(tx *bolt.Tx) error {
		b := tx.Bucket(bodiesBucket)
		if b == nil {
			return errNoBodies
		}
		for i, id := range ids {
			if !visit(i, b.Get(bodyKey(id))) {
				return nil
			}
		}
		return nil
	})
}

// Scan visits the keys from <= key < to in order (to nil = end of table) while visit returns true, as of one
// moment. k and v are valid only during the call. visit must not call the Store. The writer may have to wait for a
// Scan that takes long: read much in several ones.
func (s *Store) Scan(t Table, from, to []byte, visit func(k, v []byte) bool) error {
	t.mustExist()
	return s.read(func(tx *bolt.Tx) error {
		b, err := tableBucket(tx, t)
		if err != nil {
			return err
		}
		c, end := b.Cursor(), storedBound(to)
		for k, v := c.Seek(storedKey(from)); k != nil && (end == nil || bytes.Compare(k, end) < 0); k, v = c.Next() {
			value := loadedValue(k, v)
			if value == nil {
				return fmt.Errorf("read from table %d: %w: a record has no known form", t, ErrDamaged)
			}
			if !visit(loadedKey(k, v), value[1:]) {
				return nil
			}
		}
		return nil
	})
}

// read runs fn in a read transaction. A page that cannot be read from the disk becomes an error.
func (s *Store) read(fn func(tx *bolt.Tx) error) (err error) {
	if s.health.Load() != nil {
		if err := *s.health.Load(); errors.Is(err, ErrFatal) {
			return err
		}
	}
	tx, err := s.db.Begin(false)
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

// Close commits what is queued and closes the files. It may be called twice; both wait.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.mu.Lock()
		s.closing = true
		s.mu.Unlock()
		s.kick()
		<-s.done
		s.ids.stop()
		s.closed = errors.Join(s.db.Close(), s.lock.Close())
	})
	return s.closed
}
