package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// compactor is what the checkpointer knows of writing state.db anew, without its free pages, while the store goes on:
//
//	state.db ─ read transaction ─▶ state.new, in synced steps ─ rename, sync of the folder ─▶ state.db
//	                                  │ a checkpoint cannot wait any longer, no room, an error: removed      │
//	                                  ▼                                        readers of the old one go on ─┴▶ it is closed after the last one
//
// No checkpoint is written meanwhile, so both hold the same state, with the same number of the last log record in it: a crash leaves the one or the
// other, and either goes with the log.
type compactor struct {
	asked chan chan compacted // those who ask for one
	next  time.Time           // not before
	mute  bool                // what is in the way was said
	stage func(stage) error   // tests look, and fail, here
}

// compacted is what became of a compaction that was asked for.
type compacted struct {
	before, after int64 // bytes of state.db
	err           error
}

// stage of a compaction that is done.
type stage string

const (
	stageStep    stage = "step"
	stageCopied  stage = "copied"
	stageRenamed stage = "renamed"
	stageSynced  stage = "synced"
)

const (
	compactStep  = 1 << 20              // bytes of one transaction
	compactPause = time.Minute          // between tries
	compactRoom  = 64 << 20             // bytes of the disk that a compaction leaves alone
	compactRest  = 5 * time.Millisecond // at least, between steps; or as long as the step took, so that the log has the disk for itself half of the time
	compactFill  = 0.9                  // of the pages: some will grow
)

// errInterrupted is a compaction that was given up for something more urgent.
var errInterrupted = errors.New("there is too much else to write, or the store closes: try again later")

// CompactNow writes state.db anew, without its free pages, while the store goes on, and tells its size in bytes. It waits for the end; Close
// ends it with an error. After an error the file is the one it was.
func (s *Store) CompactNow() (before, after int64, err error) {
	answer := make(chan compacted, 1)
	select {
	case s.ckpt.compact.asked <- answer:
	case <-s.ckpt.done:
		return 0, 0, fmt.Errorf("compact: %w", ErrClosed)
	}
	a := <-answer // the checkpointer answers all that it took
	if a.err != nil {
		return a.before, a.after, fmt.Errorf("compact: %w", a.err)
	}
	return a.before, a.after, nil
}

// compactAsked is for CompactNow; false when the store has to stop.
func (s *Store) compactAsked(answer chan<- compacted) bool {
	before := s.fileBytes()
	goOn, err := s.rewrite(s.ckpt.used.Load(), before)
	answer <- compacted{before, s.fileBytes(), err}
	return goOn
}

// compactIfDue writes the database anew when most of it is free; false when the store has to stop.
func (s *Store) compactIfDue(now time.Time) bool {
	c := &s.ckpt.compact
	used, size := s.ckpt.used.Load(), s.fileBytes()
	if free := size - used; s.cfg.CompactBytes < 0 || free < int64(s.cfg.CompactBytes) || free <= used || now.Before(c.next) {
		return true
	}
	goOn, err := s.rewrite(used, size)
	if err != nil && goOn && !c.mute && !errors.Is(err, errInterrupted) {
		s.cfg.Log.Warn("state.db is not compacted", "folder", s.cfg.Dir, "free", size-used, "used", used, "error", err)
		c.mute = true
	}
	c.next = time.Now().Add(compactPause)
	return goOn
}

// rewrite compacts, and counts and tells it; goOn is false when the store has to stop.
func (s *Store) rewrite(used, size int64) (goOn bool, err error) {
	began := time.Now()
	how, err := s.compact(used)
	if err != nil && how == fatal {
		s.doom(fmt.Errorf("%w: compact: %w", ErrFatal, err))
		return false, err
	}
	if err != nil {
		return true, err
	}
	s.noteUsed()
	s.count.compactions.Inc()
	s.cfg.Log.Info("state.db is compacted", "folder", s.cfg.Dir, "before", size, "after", s.fileBytes(), "took", time.Since(began).Round(time.Millisecond))
	s.ckpt.compact.mute = false
	return true, nil
}

// compact replaces the database. After an error that is not fatal it is the one it was.
func (s *Store) compact(used int64) (how severity, err error) {
	if room, err := freeRoom(s.cfg.Dir); err != nil || room < used+used/4+compactRoom {
		return refused, errors.Join(err, fmt.Errorf("%d bytes of disk are free, wanted are %d", room, used+used/4+compactRoom))
	}
	if err := removeNew(s.cfg.Dir); err != nil {
		return refused, err
	}
	path := filepath.Join(s.cfg.Dir, newFile)
	fresh, err := openFile(path)
	if err != nil {
		return refused, err
	}
	err = s.copyTo(fresh, used)
	if err == nil {
		err = os.Rename(path, filepath.Join(s.cfg.Dir, dataFile))
	}
	if err != nil {
		return refused, errors.Join(err, fresh.Close(), removeNew(s.cfg.Dir))
	}
	err = s.ckpt.compact.at(stageRenamed)
	if err == nil {
		err = syncFolder(s.cfg.Dir)
	}
	if err != nil { // which of the two a crash would leave is not known
		return fatal, errors.Join(err, fresh.Close())
	}
	s.data.replace(fresh)
	return 0, s.ckpt.compact.at(stageSynced)
}

// copyTo makes fresh what the database is, on stable storage, with blocks for the next checkpoint.
func (s *Store) copyTo(fresh *database, used int64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("database panicked: %v", r)
		}
	}()
	err = s.data.db.View(func(tx *bolt.Tx) error { return copyAll(fresh.DB, tx, s.betweenSteps) })
	if err == nil {
		err = fresh.Sync()
	}
	if err != nil {
		return err
	}
	active, frozen := s.deltas.size()
	if err := allocateBlocks(fresh.file.Fd(), roomFor(used, active.growth+frozen.growth)+allocateStep); err != nil && noRoom(err) == full {
		return fmt.Errorf("set room aside: %w", err)
	}
	return s.ckpt.compact.at(stageCopied)
}

func (c *compactor) at(s stage) error {
	if c.stage == nil {
		return nil
	}
	return c.stage(s)
}

// betweenSteps leaves the disk to others for as long as the step took. It gives up when the store closes, and before commits would have to wait for
// the checkpoint that cannot be written meanwhile.
func (s *Store) betweenSteps(took time.Duration) error {
	active, _ := s.deltas.size()
	if s.deltas.busy() && (active.memory >= s.cfg.MaxDeltaBytes/2 || active.logged >= int64(s.cfg.CheckpointBytes)) {
		return errInterrupted
	}
	if err := s.ckpt.compact.at(stageStep); err != nil {
		return err
	}
	select {
	case <-s.ckpt.stop:
		return errInterrupted
	case <-time.After(max(took, compactRest)):
		return nil
	}
}

// freeRoom is how many bytes the file system of dir has left for us.
func freeRoom(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("look for room in %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// copyAll copies the buckets in from to an empty database, in transactions of about compactStep. rest is called between them, with how long one took.
func copyAll(to *bolt.DB, from *bolt.Tx, rest func(took time.Duration) error) error {
	c := copier{to: to, rest: rest}
	err := from.ForEach(func(name []byte, b *bolt.Bucket) error {
		c.name = name
		if err := c.begin(); err != nil {
			return err
		}
		if err := b.ForEach(c.put); err != nil {
			return err
		}
		return c.commit()
	})
	if c.tx != nil {
		err = errors.Join(err, c.tx.Rollback())
	}
	return err
}

// copier is between begin and commit when tx is not nil.
type copier struct {
	to     *bolt.DB
	rest   func(took time.Duration) error
	name   []byte
	tx     *bolt.Tx
	bucket *bolt.Bucket
	size   int
	since  time.Time
}

func (c *copier) begin() (err error) {
	c.since, c.size = time.Now(), 0
	if c.tx, err = c.to.Begin(true); err != nil {
		return err
	}
	if c.bucket, err = c.tx.CreateBucketIfNotExists(c.name); err != nil {
		return err
	}
	c.bucket.FillPercent = compactFill
	return nil
}

func (c *copier) put(key, value []byte) error {
	if c.size += len(key) + len(value); c.size > compactStep {
		if err := c.commit(); err != nil {
			return err
		}
		if err := c.rest(time.Since(c.since)); err != nil {
			return err
		}
		if err := c.begin(); err != nil {
			return err
		}
	}
	return c.bucket.Put(key, value)
}

func (c *copier) commit() error {
	tx := c.tx
	c.tx = nil
	return tx.Commit()
}

// Compact writes state.db in dir anew, without its free pages. Nobody else has the folder open. A crash leaves the old
// file or the new one.
func Compact(dir string) (before, after int64, err error) {
	if _, err := os.Stat(filepath.Join(dir, dataFile)); err != nil {
		return 0, 0, fmt.Errorf("compact: %w", err)
	}
	err = inFolder(dir, func() error {
		before, after, err = compactFile(dir)
		return err
	})
	if err != nil {
		return before, after, fmt.Errorf("compact %s: %w", dir, err)
	}
	return before, after, nil
}

func compactFile(dir string) (before, after int64, err error) {
	from, to := filepath.Join(dir, dataFile), filepath.Join(dir, newFile)
	if err := errors.Join(checkFile(from), removeNew(dir)); err != nil {
		return 0, 0, err
	}
	old, err := openFile(from)
	if err != nil {
		return 0, 0, err
	}
	err = old.View(func(tx *bolt.Tx) error {
		before = tx.Size()
		if _, err := readFormat(tx); err != nil {
			return err
		}
		after, err = copyFile(to, tx)
		return err
	})
	if err = errors.Join(err, old.Close()); err != nil {
		return before, after, errors.Join(err, removeNew(dir))
	}
	return before, after, putInPlace(dir)
}

func copyFile(path string, from *bolt.Tx) (size int64, err error) {
	to, err := openFile(path)
	if err != nil {
		return 0, err
	}
	err = copyAll(to.DB, from, func(time.Duration) error { return nil })
	if err == nil {
		err = to.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil })
	}
	return size, errors.Join(err, to.Sync(), to.Close())
}
