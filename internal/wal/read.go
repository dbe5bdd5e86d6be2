package wal

import (
	"fmt"
	"slices"
)

// Read returns the payload of one record; the caller owns it.
func (l *Log) Read(index uint64) ([]byte, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s, err := l.segmentLocked(index)
	if err != nil {
		return nil, err
	}
	r, err := s.record(index)
	return r.payload, err
}

// ReadPart fills b with the bytes of a record's payload from offset off on. It reads no more than that, and so does not check
// the record: who needs to know keeps a checksum of the part.
func (l *Log) ReadPart(index uint64, off int, b []byte) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s, err := l.segmentLocked(index)
	if err != nil {
		return err
	}
	start := s.offsets[index-s.first]
	end := s.end
	if index+1 < s.next {
		end = s.offsets[index+1-s.first]
	}
	at := start + recordHeader + int64(off)
	if off < 0 || at+int64(len(b)) > end {
		return fmt.Errorf("read %d bytes at %d of log record %d: it is shorter", len(b), off, index)
	}
	if _, err := s.file.ReadAt(b, at); err != nil {
		return fmt.Errorf("read record %d of %s: %w", index, s.name, err)
	}
	return nil
}

// segmentLocked finds the segment with the record of that index.
func (l *Log) segmentLocked(index uint64) (*segment, error) {
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
	return l.segments[i], nil
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
