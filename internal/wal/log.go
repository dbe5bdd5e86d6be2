package wal

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"

	"mangrove/internal/setting"
)

// ErrClosed is what calls after Close answer.
var ErrClosed = errors.New("log is closed")

// ErrTrimmed says that a record is no longer there.
var ErrTrimmed = errors.New("record was trimmed")

// ErrSync is what calls answer after a failed sync, until the log is opened again. What was written since the sync before it
// may be on the medium or not.
var ErrSync = errors.New("a sync of the log failed")

// Config of a Log. The zero value of every field but Dir works. Zero and negative numbers mean what package setting
// says.
type Config struct {
	Dir          string // made if missing; not used when Files is set
	Files        Files  // default Disk{Dir}
	SegmentBytes int64  // size of a segment file; zero = 16 MiB. A larger record gets a segment of its own size
	Spares       int    // emptied segments kept for reuse, further ones are removed; zero = 2, negative = none
	Salt         func() uint64
	Log          *slog.Logger
}

func (cfg *Config) complete() error {
	if err := setting.Default("SegmentBytes", &cfg.SegmentBytes, 16<<20); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if cfg.SegmentBytes < 2*segmentHeader {
		return fmt.Errorf("open log: SegmentBytes is %d, want at least %d", cfg.SegmentBytes, 2*segmentHeader)
	}
	cfg.Spares = cmp.Or(cfg.Spares, 2)
	if cfg.Salt == nil {
		cfg.Salt = rand.Uint64
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Files == nil {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return fmt.Errorf("open log: %w", err)
		}
		cfg.Files = Disk{Dir: cfg.Dir}
	}
	return nil
}

// Log is an operation log. Append, AppendSoft, Sync and TruncateAfter are for one writer; Trim, Read, ReadPart, First, Last and Size may run
// beside it, and do not wait for its disk.
type Log struct {
	cfg    Config
	spares *spares

	writing sync.Mutex // held for a whole call that writes; before mu
	broken  error      // a failed sync: nothing is appended after it
	dirty   int64      // bytes behind the end of the active segment that a failed write may have left
	synced  uint64     // records below this index are stable
	buf     []byte

	mu       sync.RWMutex
	segments []*segment // by first index; the last one is written to
	closed   bool
}

// Open reads what is there, cuts a torn tail and readies the log for Append. An empty folder becomes a log whose first record has
// index 1. A *DamageError means that the medium lost what was stable.
func Open(cfg Config) (*Log, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	l := &Log{cfg: cfg}
	var err error
	if l.spares, err = openSpares(cfg); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := l.load(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	// What a killed process wrote softly is read back from memory, and may not be on the medium.
	if err := l.active().file.Sync(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w: %w", ErrSync, err), l.Close())
	}
	l.synced = l.active().next
	return l, nil
}

// load opens and scans the segments.
func (l *Log) load() error {
	names, err := l.cfg.Files.List()
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			if err := l.loadSegment(name); err != nil {
				return fmt.Errorf("open log: %w", err)
			}
		}
	}
	if len(l.segments) == 0 {
		return l.roll(1, 0, true)
	}
	return nil
}

func (l *Log) loadSegment(name string) error {
	first, ok := segmentFirst(name)
	if !ok {
		return fmt.Errorf("%s is not the name of a segment: it does not belong here", name)
	}
	f, err := l.cfg.Files.Open(name, false)
	if err != nil {
		return err
	}
	s := &segment{name: name, file: f}
	if s.size, err = f.Size(); err == nil {
		err = s.readHeader()
	}
	if err == nil && s.first != first {
		err = &DamageError{File: name, Detail: fmt.Sprintf("the header says that it begins with record %d", s.first)}
	}
	if err == nil && len(l.segments) > 0 {
		err = l.follows(s)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.segments = append(l.segments, s)
	stale, err := s.scan()
	if err == nil && stale {
		l.cfg.Log.Warn("the last write to the log was torn: cut", "file", name, "offset", s.end, "record", s.next)
		err = s.wipe()
	}
	return err
}

// follows checks that s goes on where the segment before it ended.
func (l *Log) follows(s *segment) error {
	last := l.segments[len(l.segments)-1]
	if last.next != s.first {
		return &DamageError{File: last.name, Offset: last.end, Index: last.next,
			Detail: fmt.Sprintf("the record does not hold, but %s begins with record %d", s.name, s.first)}
	}
	return nil
}

// First is the index of the oldest record that is there, or of the next one when there is none.
func (l *Log) First() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.segments[0].first
}

// Last is the index of the newest record, First()-1 when there is none.
func (l *Log) Last() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.activeLocked().next - 1
}

// Size is the bytes of all segment files, spare ones left out.
func (l *Log) Size() (bytes int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.segments {
		bytes += s.size
	}
	return bytes
}

// Trim gives up the records up to and including through, as far as whole segments go. The active segment stays.
func (l *Log) Trim(through uint64) error {
	l.mu.Lock()
	n := 0
	for n < len(l.segments)-1 && l.segments[n].next <= through+1 {
		n++
	}
	old := slices.Clone(l.segments[:n])
	l.segments = slices.Delete(l.segments, 0, n)
	l.mu.Unlock()
	for i, s := range old { // oldest first: a crash leaves no hole
		if err := l.spares.give(s); err != nil {
			l.mu.Lock()
			l.segments = append(old[i:], l.segments...)
			l.mu.Unlock()
			return fmt.Errorf("trim log: %w", err)
		}
	}
	return nil
}

// TruncateAfter removes the records after index, newest first: a replicated log does so when its leader disagrees.
func (l *Log) TruncateAfter(index uint64) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.segments) > 1 && l.activeLocked().first > index {
		s := l.activeLocked()
		l.segments = l.segments[:len(l.segments)-1]
		if err := l.spares.give(s); err != nil {
			return fmt.Errorf("truncate log: %w", err)
		}
	}
	s := l.activeLocked()
	if index+1 >= s.next {
		return nil
	}
	if index+1 < s.first {
		return fmt.Errorf("truncate log after record %d: %w", index, ErrTrimmed)
	}
	s.end = s.offsets[index+1-s.first]
	s.offsets, s.next = s.offsets[:index+1-s.first], index+1
	l.synced = min(l.synced, s.next)
	return s.wipe()
}

// Close ends the log; what was appended is stable already. It may be called twice.
func (l *Log) Close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	err := l.spares.close()
	for _, s := range l.segments {
		err = errors.Join(err, s.file.Close())
	}
	return err
}
