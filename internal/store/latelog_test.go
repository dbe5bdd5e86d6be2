package store

import (
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/oplog"
	"mangrove/internal/oplog/logtest"
)

// eachLog runs test with each kind of log; open returns what Config.OpenLog is to be for one data folder.
func eachLog(t *testing.T, test func(t *testing.T, open func() func() (oplog.Log, error))) {
	t.Run("log of a disk", func(t *testing.T) {
		test(t, func() func() (oplog.Log, error) { return nil })
	})
	t.Run("log in memory", func(t *testing.T) {
		seed := uint64(0)
		test(t, func() func() (oplog.Log, error) {
			seed++
			return logtest.NewMedium(seed).Open
		})
	})
}

// lateLog is a store on a log that takes its time, refuses, and crashes, with batches of which many are under way.
type lateLog struct {
	t      *testing.T
	rng    *rand.Rand
	medium *logtest.Medium
	dir    string
	model  *model // what is there

	mu      sync.Mutex
	batches []lateBatch // of this life
	told    int
}

// lateBatch is made of its seed, as often as one likes.
type lateBatch struct {
	seed  uint64
	slack batch.Slack
	err   error // what it was told
}

func (b *lateBatch) write(to *batch.Batch, m *model) {
	rng := rand.New(rand.NewPCG(b.seed, 2))
	for range 1 + rng.IntN(5) {
		operateAtRandom(rng, to, m)
	}
}

// Committed implements batch.Waiter: batches are told in their order.
func (l *lateLog) Committed(n uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(n) != l.told {
		l.t.Errorf("batch %d was told, want batch %d", n, l.told)
	}
	l.batches[n].err = err
	l.told++
}

func (l *lateLog) open() *Store {
	s, err := Open(Config{Dir: l.dir, CheckpointBytes: 6 << 10, OpenLog: l.medium.Open})
	must(l.t, err)
	return s
}

// live commits batches until the log crashes, some of them after that.
func (l *lateLog) live() {
	s := l.open()
	crash := l.rng.IntN(40)
	for n := range crash + l.rng.IntN(5) {
		switch l.rng.IntN(15) {
		case 0:
			l.medium.FailNext(syscall.ENOSPC)
		case 1:
			s.ckpt.asked.Store(true)
			s.wake.Ring()
		}
		l.commit(s)
		time.Sleep(time.Duration(l.rng.IntN(10)) * time.Millisecond)
		if n == crash {
			l.medium.Crash()
		}
	}
	if l.rng.IntN(2) == 0 {
		l.medium.Crash()
	}
	if err := s.Close(); err != nil && !errors.Is(err, ErrFatal) {
		l.t.Errorf("close: %v", err)
	}
	if l.told != len(l.batches) {
		l.t.Errorf("%d batches were told, want all %d", l.told, len(l.batches))
	}
}

func (l *lateLog) commit(s *Store) {
	slack := []batch.Slack{batch.Synced, batch.Synced, batch.Unsynced, batch.Slack(5 * time.Millisecond)}[l.rng.IntN(4)]
	b := s.NewBatch()
	l.mu.Lock()
	l.batches = append(l.batches, lateBatch{seed: l.rng.Uint64(), slack: slack})
	n := len(l.batches) - 1
	l.batches[n].write(b, newModel())
	l.mu.Unlock()
	b.SetSlack(slack)
	b.Notify(l, uint64(n))
	s.Commit(b)
}

// check reopens: all that was acknowledged as stable is there, nothing that was refused, and of the rest a beginning.
func (l *lateLog) check() {
	s := l.open()
	defer func() { must(l.t, s.Close()) }()
	certain, last := l.model.differs(s) == nil, -1 // last = of those that have to be there
	for n, b := range l.batches {
		if b.err == nil && b.slack == batch.Synced {
			certain, last = false, n
		}
	}
	m := l.model.clone()
	for n, b := range l.batches {
		if b.err != nil && !errors.Is(b.err, ErrFatal) && !errors.Is(b.err, ErrClosed) {
			continue // refused for sure
		}
		b.write(new(batch.Batch), m)
		if n >= last && !certain && m.differs(s) == nil {
			l.model, certain = m.clone(), true
		}
	}
	if !certain {
		l.t.Errorf("what is there is no beginning of %d batches of which number %d is stable: %v", len(l.batches), last, m.differs(s))
	}
	l.batches, l.told = nil, 0
}

// P1, whatever log is under the store: one that is late, makes stable more than it was asked for, refuses, and crashes.
func TestLateLog(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			l := &lateLog{t: t, rng: rand.New(rand.NewPCG(seed, 3)), medium: logtest.NewMedium(seed), dir: t.TempDir(), model: newModel()}
			var mu sync.Mutex
			delays := rand.New(rand.NewPCG(seed, 4))
			l.medium.SetDelay(func() {
				mu.Lock()
				delay := time.Duration(delays.IntN(30)) * time.Millisecond
				mu.Unlock()
				time.Sleep(delay)
			})
			for range 15 {
				l.live()
				l.check()
			}
		})
	}
}
