package batch

import (
	"encoding/binary"
	"errors"
)

// Kind is the first byte of an operation.
type Kind byte

// A batch in bytes is its operations one after the other:
//
//	put        1  table  key  value    value = form (1 byte), [body id (8)], bytes: see Value
//	delete     2  table  key
//	range      3  table  from  to      from <= key < to
//	range end  4  table  from          from <= key
//	body       5  id (8)  references (4)  length (4)  body
//	release    6  id (8)
//
// key, value, from and to are a uvarint length and that many bytes; fixed numbers are big-endian. Only logs of before
// have a release, or references of a body that are not 0: now references belong to records (PutRef). Both are read as
// they were meant.
const (
	OpPut      Kind = 1
	OpDelete   Kind = 2
	OpRange    Kind = 3
	OpRangeEnd Kind = 4
	OpBody     Kind = 5
	OpRelease  Kind = 6
)

// Op is one decoded operation. Its slices alias what it was decoded from.
type Op struct {
	Kind  Kind
	Table Table
	Key   []byte // from, for ranges
	Value []byte // to, for ranges; nil = end of table
	ID    uint64 // of a body
	Refs  int    // by how many the references to the body change, beside those of records
	Body  []byte
}

// errOps is what bytes are refused with that are no operations of this version.
var errOps = errors.New("decode batch: bytes end early or are unknown")

// Next decodes the first operation of ops. It takes nothing on trust: bytes of any origin are decoded or refused,
// without memory of their own.
func Next(ops []byte) (o Op, rest []byte, err error) {
	if len(ops) == 0 {
		return o, nil, errOps
	}
	o.Kind, ops = Kind(ops[0]), ops[1:]
	switch o.Kind {
	case OpPut, OpDelete, OpRange, OpRangeEnd:
		return nextKeyed(o, ops)
	case OpBody, OpRelease:
		return nextCounted(o, ops)
	}
	return o, nil, errOps
}

func nextKeyed(o Op, b []byte) (Op, []byte, error) {
	if len(b) == 0 || b[0] == 0 || Table(b[0]) > LastTable {
		return o, nil, errOps
	}
	o.Table, b = Table(b[0]), b[1:]
	var ok bool
	if o.Key, b, ok = CutBytes(b); !ok {
		return o, nil, errOps
	}
	if o.Kind == OpPut || o.Kind == OpRange {
		if o.Value, b, ok = CutBytes(b); !ok || o.Kind == OpPut && !Value(o.Value).Valid() {
			return o, nil, errOps
		}
	}
	return o, b, nil
}

func nextCounted(o Op, b []byte) (Op, []byte, error) {
	if len(b) < 8 {
		return o, nil, errOps
	}
	o.ID, b = binary.BigEndian.Uint64(b), b[8:]
	if o.Kind == OpRelease {
		o.Refs = -1
		return o, b, nil
	}
	if len(b) < 8 {
		return o, nil, errOps
	}
	o.Refs = int(binary.BigEndian.Uint32(b))
	n := binary.BigEndian.Uint32(b[4:])
	if b = b[8:]; uint64(n) > uint64(len(b)) {
		return o, nil, errOps
	}
	o.Body = b[:n:n]
	return o, b[n:], nil
}

// AppendPut appends a put of a value in its stored form.
func AppendPut(dst []byte, t Table, key []byte, v Value) []byte {
	return AppendBytes(AppendBytes(append(dst, byte(OpPut), byte(t)), key), v)
}

// AppendDelete appends a delete.
func AppendDelete(dst []byte, t Table, key []byte) []byte {
	return AppendBytes(append(dst, byte(OpDelete), byte(t)), key)
}

// AppendRange appends a range, or range end when to is nil.
func AppendRange(dst []byte, t Table, from, to []byte) []byte {
	if to == nil {
		return AppendBytes(append(dst, byte(OpRangeEnd), byte(t)), from)
	}
	return AppendBytes(AppendBytes(append(dst, byte(OpRange), byte(t)), from), to)
}

// AppendBody appends the bytes of a body; they are the last ones of what it returns.
func AppendBody(dst []byte, id uint64, body []byte) []byte {
	dst = appendBodyHead(dst, id)
	binary.BigEndian.PutUint32(dst[len(dst)-4:], uint32(len(body)))
	return append(dst, body...)
}

// appendBodyHead appends what stands before a body, the length as 0.
func appendBodyHead(dst []byte, id uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, byte(OpBody)), id)
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
}

// AppendBytes appends b behind its length, as the operations have their parts.
func AppendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// CutBytes undoes AppendBytes; ok is false when b ends early.
func CutBytes(b []byte) (v, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	b = b[w:]
	return b[:n:n], b[n:], true
}
