package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// A record on disk, padded with zeros to a multiple of 8:
//
//	 0        4        8                16               24
//	┌────────┬────────┬────────────────┬────────────────┬─────────┬─────┐
//	│ length │ CRC32C │ index          │ group          │ payload │ pad │
//	└────────┴────────┴────────────────┴────────────────┴─────────┴─────┘
//
// length counts the payload. The checksum covers the segment's salt, the length, index, group and payload, so that what an
// earlier life of a reused segment left behind is never taken for a record. group is the index of
// the first record that was not known to be stable when this one was written: see (*segment).scan for what it proves.
const (
	recordHeader = 24
	recordAlign  = 8
	// MaxRecord bounds one payload in bytes.
	MaxRecord = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is one decoded record; payload aliases the segment's bytes.
type record struct {
	index, group uint64
	payload      []byte
	size         int // on disk, padding included
}

// recordSize is what a payload of n bytes takes on disk.
func recordSize(n int) int {
	return (recordHeader + n + recordAlign - 1) &^ (recordAlign - 1)
}

func appendRecord(dst []byte, seed uint32, index, group uint64, payload []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, index)
	dst = binary.LittleEndian.AppendUint64(dst, group)
	dst = append(dst, payload...)
	binary.LittleEndian.PutUint32(dst[start+4:], checksum(seed, dst[start:]))
	for len(dst)-start < recordSize(len(payload)) {
		dst = append(dst, 0)
	}
	return dst
}

// checksum of a record's bytes (header and payload, no padding), its own field left out.
func checksum(seed uint32, b []byte) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, b[:4]), castagnoli, b[8:])
}

// seedOf is where the checksums of a segment with that salt begin.
func seedOf(salt uint64) uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(nil, salt), castagnoli)
}

// decodeRecord reads the record at the start of b. ok is false for anything that is not a whole, sound record.
func decodeRecord(b []byte, seed uint32) (r record, ok bool) {
	if len(b) < recordHeader {
		return record{}, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n > MaxRecord || recordSize(int(n)) > len(b) {
		return record{}, false
	}
	if checksum(seed, b[:recordHeader+int(n)]) != binary.LittleEndian.Uint32(b[4:]) {
		return record{}, false
	}
	r = record{
		index:   binary.LittleEndian.Uint64(b[8:]),
		group:   binary.LittleEndian.Uint64(b[16:]),
		payload: b[recordHeader : recordHeader+int(n) : recordHeader+int(n)],
		size:    recordSize(int(n)),
	}
	return r, r.index != 0 && r.group <= r.index && r.group != 0
}
