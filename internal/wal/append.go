package wal

import (
	"errors"
	"fmt"
)

// Append writes the payloads as records, in one write, and returns when they and all records before them are stable. first is the index of
// the first one.
//
// An error that is ErrSync is final: nothing is known of these records until the next Open, and the failed fdatasync is never
// tried again. After any other error nothing was appended, and a later Append may succeed.
func (l *Log) Append(payloads ...[]byte) (first uint64, err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if first, err = l.appendLocked(payloads, false); err == nil {
		err = l.syncLocked()
	}
	return first, err
}

// AppendSoft is Append without the sync: a power cut may take the records back, the newest first. They become
// stable with the next Append or Sync.
func (l *Log) AppendSoft(payloads ...[]byte) (first uint64, err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.appendLocked(payloads, false)
}

// AppendSoftLast is AppendSoft that may use up the last spare segment, which the others leave alone: for what makes room on a full
// disk.
func (l *Log) AppendSoftLast(payloads ...[]byte) (first uint64, err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.appendLocked(payloads, true)
}

// Sync makes what AppendSoft wrote stable.
func (l *Log) Sync() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.broken != nil {
		return l.broken
	}
	if l.isClosed() {
		return ErrClosed
	}
	return l.syncLocked()
}

// Stock sees to it that there are spare segments for Append. An error tells that there is no room for them.
func (l *Log) Stock() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.spares.stock()
}

func (l *Log) appendLocked(payloads [][]byte, last bool) (first uint64, err error) {
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
	if err := l.ready(size, last); err != nil {
		return 0, fmt.Errorf("append to log: %w", err)
	}
	if first, err = l.write(payloads); err != nil {
		return 0, fmt.Errorf("append to log: %w", err)
	}
	return first, nil
}

// ready makes room for size bytes in the active segment. Unless last is set a spare segment must be left behind it.
func (l *Log) ready(size int, last bool) error {
	if l.isClosed() {
		return ErrClosed
	}
	s := l.active()
	if l.dirty > 0 {
		if err := l.undo(s); err != nil {
			return err
		}
	}
	if !last {
		if err := l.spares.reserve(); err != nil {
			return err
		}
	}
	if s.room(size) {
		return nil
	}
	if err := l.syncLocked(); err != nil { // the next segment may be stable only after this one
		return err
	}
	return l.roll(s.next, size, last)
}

// undo zeroes what a failed write may have left behind the last record, so that it is never taken for what follows a later one.
func (l *Log) undo(s *segment) error {
	if err := s.zero(s.end, s.end+l.dirty); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return l.brokenBy(fmt.Errorf("%s: %w", s.name, err))
	}
	l.dirty = 0
	return nil
}

func (l *Log) isClosed() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.closed
}

// active is the segment that is written to. Trim, which runs beside the writer, moves the list but never takes it away.
func (l *Log) active() *segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.activeLocked()
}

func (l *Log) activeLocked() *segment { return l.segments[len(l.segments)-1] }

// write writes the records behind the last one. Their group is the index of the first record that is not stable.
func (l *Log) write(payloads [][]byte) (first uint64, err error) {
	s := l.active()
	first, l.buf = s.next, l.buf[:0]
	for i, p := range payloads {
		l.buf = appendRecord(l.buf, s.seed, first+uint64(i), l.synced, p)
	}
	if n, err := s.file.WriteAt(l.buf, s.end); err != nil {
		l.dirty = max(int64(n), recordAlign)
		return 0, fmt.Errorf("append to %s: %w", s.name, err)
	}
	l.mu.Lock()
	for _, p := range payloads {
		s.add(s.end, recordSize(len(p)))
	}
	l.mu.Unlock()
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	return first, nil
}

// keepBuffer is the largest write buffer that is kept for the next write.
const keepBuffer = 1 << 20

func (l *Log) syncLocked() error {
	s := l.active()
	if s.next == l.synced {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return l.brokenBy(fmt.Errorf("%s: %w", s.name, err))
	}
	l.synced = s.next
	return nil
}

func (l *Log) brokenBy(err error) error {
	l.broken = fmt.Errorf("append to log: %w: %w", ErrSync, err)
	return l.broken
}

// roll makes a segment that begins with index first and has room for size bytes the active one.
func (l *Log) roll(first uint64, size int, last bool) error {
	s, err := l.spares.take(first, max(l.cfg.SegmentBytes, int64(segmentHeader+size)), last)
	if errors.Is(err, ErrSync) {
		l.broken = err
	}
	if err != nil {
		return fmt.Errorf("begin log segment: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.segments); n > 0 && l.segments[n-1].first == first {
		// It was empty, but too small: the new one has taken its name, and so its place in the folder.
		empty := l.segments[n-1]
		l.segments[n-1] = s
		return empty.file.Close()
	}
	l.segments = append(l.segments, s)
	return nil
}
