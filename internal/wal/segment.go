package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// A segment file starts with one block, then records follow without gaps, then zeros:
//
//	 0                8         12        16         24               32        36
//	┌────────────────┬─────────┬─────────┬──────────┬────────────────┬────────┬──────
//	│ "MGRVLOG1"     │ version │ 0       │ salt     │ first index    │ CRC32C │ 0 …
//	└────────────────┴─────────┴─────────┴──────────┴────────────────┴────────┴──────
const (
	segmentMagic   = "MGRVLOG1"
	segmentVersion = 1
	segmentHeader  = 4096 // a block of its own, so that no record write ever touches it
	segmentSuffix  = ".log"
	spareSuffix    = ".spare"
)

// segment is one file of the log.
type segment struct {
	name  string
	file  File
	seed  uint32 // of its records' checksums, from the header's salt
	first uint64 // index of its first record, also when it has none yet
	next  uint64 // index after its last record
	size  int64  // of the file
	end   int64  // offset after the last record
	// offsets of the records, from first on, so that a record is found without scanning
	offsets []int64
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// segmentFirst reads the first index from a file name.
func segmentFirst(name string) (first uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil
}

func appendSegmentHeader(dst []byte, salt, first uint64) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, segmentVersion)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, salt)
	dst = binary.LittleEndian.AppendUint64(dst, first)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, make([]byte, segmentHeader-(len(dst)-start))...)
}

// readHeader fills salt and first from the file.
func (s *segment) readHeader() error {
	b := make([]byte, segmentHeader)
	if _, err := s.file.ReadAt(b, 0); err != nil {
		return fmt.Errorf("read header of %s: %w", s.name, err)
	}
	switch version := binary.LittleEndian.Uint32(b[8:]); {
	case string(b[:8]) != segmentMagic || crc32.Checksum(b[:32], castagnoli) != binary.LittleEndian.Uint32(b[32:]):
		return &DamageError{File: s.name, Detail: "the header's checksum does not hold"}
	case version > segmentVersion:
		return fmt.Errorf("open %s: format version %d is newer than %d: use the program that wrote it", s.name, version, segmentVersion)
	}
	s.seed = seedOf(binary.LittleEndian.Uint64(b[16:]))
	s.first = binary.LittleEndian.Uint64(b[24:])
	s.next, s.end, s.offsets = s.first, segmentHeader, nil
	return nil
}

// scan finds the segment's records. stale tells that behind the last of them stands a sound record of the write that a crash
// interrupted: it must be wiped, or it might be taken for the successor of a record written later.
//
// The records written between two syncs are one group, and the next group is written only after the one before it is stable.
// So a sound record of a later group behind an unsound one proves that the unsound one was stable once: the
// medium has damaged it, which is an error. Without such a proof it is a torn tail, whose Append never returned.
func (s *segment) scan() (stale bool, err error) {
	b, err := s.read()
	if err != nil {
		return false, err
	}
	off := segmentHeader
	for off < len(b) {
		r, ok := decodeRecord(b[off:], s.seed)
		if !ok || r.index != s.next {
			break
		}
		s.add(int64(off), r.size)
		off += r.size
	}
	for rest := off; rest+recordHeader <= len(b); rest += recordAlign {
		index, group := binary.LittleEndian.Uint64(b[rest+8:]), binary.LittleEndian.Uint64(b[rest+16:])
		if index < s.next || group == 0 || group > index {
			continue // zeros, or left by an earlier life of the file: cheap to tell
		}
		if _, ok := decodeRecord(b[rest:], s.seed); !ok {
			continue
		}
		if group > s.next {
			return false, &DamageError{File: s.name, Offset: int64(off), Index: s.next,
				Detail: fmt.Sprintf("the record does not hold, but one written after it does, at offset %d", rest)}
		}
		stale = true
	}
	return stale, nil
}

func (s *segment) add(off int64, size int) {
	s.offsets = append(s.offsets, off)
	s.next++
	s.end = off + int64(size)
}

// read returns the whole file.
func (s *segment) read() ([]byte, error) {
	b := make([]byte, s.size)
	n, err := s.file.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read %s: %w", s.name, err)
	}
	return b[:n], nil
}

// room tells whether size more bytes fit.
func (s *segment) room(size int) bool { return s.end+int64(size) <= s.size }

// wipe zeroes what follows the last record and makes that stable.
func (s *segment) wipe() error {
	err := s.zero(s.end, s.size)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("cut torn tail of %s: %w", s.name, err)
	}
	return nil
}

// zero overwrites from <= offset < to with zeros.
func (s *segment) zero(from, to int64) error {
	to = min(to, s.size)
	zeros := make([]byte, min(zeroChunk, to-from))
	for off := from; off < to; off += int64(len(zeros)) {
		if _, err := s.file.WriteAt(zeros[:min(int64(len(zeros)), to-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// record reads the record of that index from the file.
func (s *segment) record(index uint64) (record, error) {
	off, end := s.offsets[index-s.first], s.end
	if index+1 < s.next {
		end = s.offsets[index-s.first+1]
	}
	b := make([]byte, end-off)
	if _, err := s.file.ReadAt(b, off); err != nil {
		return record{}, fmt.Errorf("read record %d of %s: %w", index, s.name, err)
	}
	r, ok := decodeRecord(b, s.seed)
	if !ok || r.index != index {
		return record{}, &DamageError{File: s.name, Offset: off, Index: index, Detail: "the record was sound when the log was opened"}
	}
	return r, nil
}

// DamageError is a log that the medium has changed: not a crash, which only tears the tail.
type DamageError struct {
	File   string
	Offset int64
	Index  uint64 // of the record that should stand there; 0 = header
	Detail string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("log is damaged: %s, offset %d, record %d: %s", e.File, e.Offset, e.Index, e.Detail)
}
