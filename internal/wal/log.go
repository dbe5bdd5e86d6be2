package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
)

// ErrClosed is what calls after Close answer.
var ErrClosed = errors.New("log is closed")

// ErrTrimmed says that a record is no longer there.
var ErrTrimmed = errors.New("record was trimmed")

// Config of a Log. The zero value of every field but Dir works.
type Config struct {
	Dir          string // made if missing; not used when Files is set
	Files        Files  // default Disk{Dir}
	SegmentBytes int64  // size of a segment file; default 16 MiB. A larger record gets a segment of its own size
	Spares       int    // emptied segments kept for reuse; default 2, further ones are removed
	Salt         func() uint64
	Log          *slog.Logger
}

const (
	defaultSegmentBytes = 16 << 20
	defaultSpares       = 2
)

func (cfg *Config) complete() error {
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = defaultSegmentBytes
	}
	if cfg.SegmentBytes < 2*segmentHeader {
		return fmt.Errorf("open log: SegmentBytes is %d, want at least %d", cfg.SegmentBytes, 2*segmentHeader)
	}
	if cfg.Spares == 0 {
		cfg.Spares = defaultSpares
	}
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

// Log is an operation log. Append, TruncateAfter and Trim are for one writer; Read, First, Last and Size may run beside it.
type Log struct {
	cfg    Config
	spares *spares

	mu       sync.RWMutex
	segments []*segment // by first index; the last one is written to
	broken   error      // a failed write or sync: nothing is appended after it
	closed   bool
	buf      []byte // of the writer
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
		return l.roll(1, 0)
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

// Append writes the payloads as records, in one write, and returns when they are stable. first is the index of the first one. After an
// error nothing is known of these records until the next Open, and every later Append fails: a failed
// fdatasync is never tried again.
func (l *Log) Append(payloads ...[]byte) (first uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, ErrClosed
	}
	if l.broken != nil {
		return 0, l.broken
	}
	size := 0
	for _, p := range payloads {
		if len(p) > MaxRecord {
			return 0, fmt.Errorf("append to log: record of %d bytes, want at most %d", len(p), MaxRecord)
		}
		size += recordSize(len(p))
	}
	if s := l.active(); !s.room(size) {
		if err := l.roll(s.next, size); err != nil {
			return 0, err // nothing was written: the log is as it was
		}
	}
	first, err = l.write(payloads)
	if err != nil {
		l.broken = fmt.Errorf("append to log: %w", err)
	}
	return first, l.broken
}

func (l *Log) active() *segment { return l.segments[len(l.segments)-1] }

func (l *Log) write(payloads [][]byte) (first uint64, err error) {
	s := l.active()
	first, l.buf = s.next, l.buf[:0]
	for i, p := range payloads {
		l.buf = appendRecord(l.buf, s.seed, first+uint64(i), first, p)
	}
	if _, err := s.file.WriteAt(l.buf, s.end); err != nil {
		return 0, err
	}
	if err := s.file.Sync(); err != nil {
		return 0, err
	}
	for _, p := range payloads {
		s.add(s.end, recordSize(len(p)))
	}
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	return first, nil
}

// keepBuffer is the largest write buffer that is kept for the next write.
const keepBuffer = 1 << 20

// roll makes a segment that begins with index first and has room for size bytes the active one.
func (l *Log) roll(first uint64, size int) error {
	s, err := l.spares.take(first, max(l.cfg.SegmentBytes, int64(segmentHeader+size)))
	if err != nil {
		return fmt.Errorf("begin log segment: %w", err)
	}
	l.segments = append(l.segments, s)
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
	return l.active().next - 1
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

// Read returns the payload of one record; the caller owns it.
func (l *Log) Read(index uint64) ([]byte, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return nil, ErrClosed
	}
	i, found := slices.BinarySearchFunc(l.segments, index, func(s *segment, index uint64) int {
		switch {
		case s.next <= index:
			return -1
		case s.first > index:
			return 1
		}
		return 0
	})
	if !found {
		return nil, fmt.Errorf("read log record %d: %w", index, ErrTrimmed)
	}
	r, err := l.segments[i].record(index)
	return r.payload, err
}

// Replay visits the records from index from (or the first that is there) to the last. payload is valid only during the call.
func (l *Log) Replay(from uint64, visit func(index uint64, payload []byte) error) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.segments {
		if s.next <= from {
			continue
		}
		b, err := s.read()
		if err != nil {
			return err
		}
		for i, off := range s.offsets {
			index := s.first + uint64(i)
			if index < from {
				continue
			}
			r, ok := decodeRecord(b[off:], s.seed)
			if !ok {
				return &DamageError{File: s.name, Offset: off, Index: index, Detail: "the record was sound when the log was opened"}
			}
			if err := visit(index, r.payload); err != nil {
				return fmt.Errorf("replay log record %d: %w", index, err)
			}
		}
	}
	return nil
}

// Trim gives up the records up to and including through, as far as whole segments go. The active segment stays.
func (l *Log) Trim(through uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.segments) > 1 && l.segments[0].next <= through+1 {
		if err := l.spares.give(l.segments[0]); err != nil {
			return fmt.Errorf("trim log: %w", err)
		}
		l.segments = slices.Delete(l.segments, 0, 1)
	}
	return nil
}

// TruncateAfter removes the records after index, newest first: a replicated log does so when its leader disagrees.
func (l *Log) TruncateAfter(index uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.segments) > 1 && l.active().first > index {
		s := l.active()
		l.segments = l.segments[:len(l.segments)-1]
		if err := l.spares.give(s); err != nil {
			return fmt.Errorf("truncate log: %w", err)
		}
	}
	s := l.active()
	if index+1 >= s.next {
		return nil
	}
	if index+1 < s.first {
		return fmt.Errorf("truncate log after record %d: %w", index, ErrTrimmed)
	}
	s.end = s.offsets[index+1-s.first]
	s.offsets, s.next = s.offsets[:index+1-s.first], index+1
	return s.wipe()
}

// Close ends the log; what was appended is stable already. It may be called twice.
func (l *Log) Close() error {
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
