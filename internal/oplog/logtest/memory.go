package logtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"mangrove/internal/oplog"
)

// Medium is what a log in memory is kept on: it stays when the log is closed, or crashes. It makes use of whatever
// freedom the contract of oplog.Log leaves: indices have gaps, records become stable late, in lumps and sometimes
// before anybody asks, and a crash takes as many of the others as the dice say. Safe for concurrent use.
type Medium struct {
	mu      sync.Mutex
	rng     *rand.Rand
	records []record
	stable  int    // so many of records are
	first   uint64 // no record below it is there
	failing error  // what the next Append or Sync that asks the medium meets; nil = nothing
	life    int    // rises with each Open and Crash: only the log of the newest one works
	delay   func() // see SetDelay
}

type record struct {
	index uint64
	bytes []byte
}

// NewMedium returns an empty one whose dice begin with seed.
func NewMedium(seed uint64) *Medium {
	return &Medium{rng: rand.New(rand.NewPCG(seed, 1)), first: 1}
}

// SetDelay has fn called, with no lock held, by each Append and Sync before it does anything: fn may wait.
func (m *Medium) SetDelay(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = fn
}

// FailNext has the next Append be refused with err, or the next Sync that has something to do fail: whichever comes
// first.
func (m *Medium) FailNext(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = err
}

// Crash is the loss of all that is not stable but what the dice leave of it; an open log is of no use from here on.
func (m *Medium) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life++
	left := m.stable + m.rng.IntN(len(m.records)-m.stable+1)
	m.records = m.records[:left]
}

// Open returns the log on m. One that was open before is of no use from here on; what it left unstable is lost as in
// a crash.
func (m *Medium) Open() (oplog.Log, error) {
	m.Crash()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stable, m.failing = len(m.records), nil
	return &memory{m: m, life: m.life}, nil
}

// memory is a log on a Medium.
type memory struct {
	m    *Medium
	life int

	uncertain error // final; m.mu guards it
	closed    bool
}

var _ oplog.Log = (*memory)(nil)

// errCrashed is what a log answers whose medium has crashed under it.
var errCrashed = errors.New("the medium has crashed")

// lock waits as long as the medium likes and returns with m.mu held, or with an error and without.
func (l *memory) lock() error {
	l.m.mu.Lock()
	if delay := l.m.delay; delay != nil {
		l.m.mu.Unlock()
		delay()
		l.m.mu.Lock()
	}
	err := l.uncertain
	switch {
	case l.closed:
		err = oplog.ErrClosed
	case l.life != l.m.life:
		err = l.doubtLocked(errCrashed)
	}
	if err != nil {
		l.m.mu.Unlock()
	}
	return err
}

// doubtLocked makes all that follows uncertain.
func (l *memory) doubtLocked(cause error) error {
	if l.uncertain == nil {
		l.uncertain = fmt.Errorf("log in memory: %w: %w", oplog.ErrUncertain, cause)
	}
	return l.uncertain
}

// failLocked returns what the medium was told to fail with, once.
func (m *Medium) failLocked() (err error) {
	err, m.failing = m.failing, nil
	return err
}

func (l *memory) Append(b []byte, _ bool) (index uint64, err error) {
	if err := l.lock(); err != nil {
		return 0, err
	}
	m := l.m
	defer m.mu.Unlock()
	if err := m.failLocked(); err != nil {
		return 0, fmt.Errorf("append to log in memory: %w", err)
	}
	index = m.nextLocked() + uint64(m.rng.IntN(3))
	m.records = append(m.records, record{index, slices.Clone(b)})
	if m.rng.IntN(4) == 0 { // others have it sooner than anybody asks
		m.stable += m.rng.IntN(len(m.records) - m.stable + 1)
	}
	return index, nil
}

// nextLocked is the lowest index that the next record may have.
func (m *Medium) nextLocked() uint64 {
	if n := len(m.records); n > 0 {
		return m.records[n-1].index + 1
	}
	return m.first
}

func (l *memory) Sync() error {
	if err := l.lock(); err != nil {
		return err
	}
	m := l.m
	defer m.mu.Unlock()
	if m.stable == len(m.records) {
		return nil
	}
	if err := m.failLocked(); err != nil {
		m.stable += m.rng.IntN(len(m.records) - m.stable + 1)
		return l.doubtLocked(err)
	}
	m.stable = len(m.records)
	return nil
}

func (l *memory) Stock() error { return nil }

// find returns where the first record from index on is. The caller holds m.mu.
func (m *Medium) find(index uint64) int {
	i, _ := slices.BinarySearchFunc(m.records, index, func(r record, index uint64) int {
		switch {
		case r.index < index:
			return -1
		case r.index > index:
			return 1
		}
		return 0
	})
	return i
}

func (l *memory) Replay(from uint64, visit func(index uint64, record []byte) error) error {
	l.m.mu.Lock()
	if l.closed {
		l.m.mu.Unlock()
		return oplog.ErrClosed
	}
	records := slices.Clone(l.m.records[l.m.find(from):])
	l.m.mu.Unlock()
	for _, r := range records {
		lent := slices.Clone(r.bytes)
		err := visit(r.index, lent)
		clear(lent) // valid only during the call
		if err != nil {
			return fmt.Errorf("replay record %d: %w", r.index, err)
		}
	}
	return nil
}

func (l *memory) ReadPart(index uint64, off int, b []byte) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.closed {
		return oplog.ErrClosed
	}
	i := l.m.find(index)
	if i == len(l.m.records) || l.m.records[i].index != index {
		return fmt.Errorf("read record %d: %w", index, oplog.ErrTrimmed)
	}
	r := l.m.records[i].bytes
	if off < 0 || off+len(b) > len(r) {
		return fmt.Errorf("read %d bytes at %d of record %d: it has %d", len(b), off, index, len(r))
	}
	copy(b, r[off:])
	return nil
}

// Trim lets some of the records go, as the dice say.
func (l *memory) Trim(through uint64) error {
	m := l.m
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(through + 1)
	if n > m.stable {
		panic("BUG: records that are not stable are trimmed")
	}
	if m.rng.IntN(3) > 0 {
		n = m.rng.IntN(n + 1)
	}
	if n > 0 {
		m.first = m.records[n-1].index + 1
		m.records, m.stable = slices.Clone(m.records[n:]), m.stable-n
	}
	return nil
}

func (l *memory) Bounds() (first, last uint64) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.m.first, l.m.nextLocked() - 1
}

func (l *memory) Size() (bytes int64) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	for _, r := range l.m.records {
		bytes += int64(len(r.bytes))
	}
	return bytes
}

func (l *memory) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.closed = true
	return nil
}
