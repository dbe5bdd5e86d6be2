package store

import (
	"encoding/binary"
	"errors"
)

// A batch in bytes is its operations one after the other:
//
//	put        1  table  key  value    value = form (1 byte), [body id (8)], bytes
//	delete     2  table  key
//	range      3  table  from  to      from <= key < to
//	range end  4  table  from          from <= key
//	keep       5  id (8)  references (4)  length (4)  body
//	release    6  id (8)
//
// key, value, from and to are a uvarint length and that many bytes; fixed numbers are big-endian.
const (
	opPut      = 1
	opDelete   = 2
	opRange    = 3
	opRangeEnd = 4
	opKeep     = 5
	opRelease  = 6
)

// Forms of a stored value.
const (
	valuePlain = 0
	valueRef   = 1 // starts with the id of a body it holds a reference to
)

// op is one decoded operation. Its slices alias the batch.
type op struct {
	kind  byte
	table Table
	key   []byte // from, for ranges
	value []byte // to, for ranges
	id    uint64
	refs  int
	body  []byte
}

var errOps = errors.New("decode batch: bytes end early or are unknown")

// nextOp decodes the first operation of b.
func nextOp(b []byte) (o op, rest []byte, err error) {
	if len(b) == 0 {
		return o, nil, errOps
	}
	o.kind, b = b[0], b[1:]
	switch o.kind {
	case opPut, opDelete, opRange, opRangeEnd:
		return nextKeyed(o, b)
	case opKeep, opRelease:
		return nextCounted(o, b)
	}
	return o, nil, errOps
}

func nextKeyed(o op, b []byte) (op, []byte, error) {
	if len(b) == 0 || b[0] == 0 || Table(b[0]) > lastTable {
		return o, nil, errOps
	}
	o.table, b = Table(b[0]), b[1:]
	var ok bool
	if o.key, b, ok = cutBytes(b); !ok {
		return o, nil, errOps
	}
	if o.kind == opPut || o.kind == opRange {
		if o.value, b, ok = cutBytes(b); !ok || o.kind == opPut && !wellFormed(o.value) {
			return o, nil, errOps
		}
	}
	return o, b, nil
}

func nextCounted(o op, b []byte) (op, []byte, error) {
	if len(b) < 8 {
		return o, nil, errOps
	}
	o.id, b = binary.BigEndian.Uint64(b), b[8:]
	if o.kind == opRelease {
		o.refs = -1
		return o, b, nil
	}
	if len(b) < 8 {
		return o, nil, errOps
	}
	o.refs = int(binary.BigEndian.Uint32(b))
	n := binary.BigEndian.Uint32(b[4:])
	if b = b[8:]; uint64(n) > uint64(len(b)) {
		return o, nil, errOps
	}
	o.body = b[:n:n]
	return o, b[n:], nil
}

// wellFormed reports whether a stored value can be read back.
func wellFormed(v []byte) bool {
	return len(v) >= 1 && v[0] == valuePlain || len(v) >= 9 && v[0] == valueRef
}

// refOf tells which body a stored value refers to.
func refOf(stored []byte) (id uint64, ok bool) {
	if len(stored) < 9 || stored[0] != valueRef {
		return 0, false
	}
	return binary.BigEndian.Uint64(stored[1:]), true
}

// appendRange appends a range, or range end when to is nil.
func appendRange(dst []byte, t Table, from, to []byte) []byte {
	if to == nil {
		return appendBytes(append(dst, opRangeEnd, byte(t)), from)
	}
	return appendBytes(appendBytes(append(dst, opRange, byte(t)), from), to)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func cutBytes(b []byte) (v, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	b = b[w:]
	return b[:n:n], b[n:], true
}
