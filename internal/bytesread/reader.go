// Package bytesread takes encoded bytes apart from the front and stops at the first failure, so
// that a decoder reads all its fields and looks for an error once, at the end:
//
//	r := bytesread.New(b)
//	v := thing{id: r.Uint64(), name: r.Text(maxName)}
//	return v, r.Done() // or r.Err(), where later versions may add bytes
//
// The user wraps the error with what it was decoding, and adds findings of its own with Fail. It
// has no goroutine, and allocates nothing but the strings that it is asked for.
//
// mqtt/packet has a reader of its own. Its errors carry a reason code, the number of the broken
// rule and the field's name, which each read would have to add from outside; built on this one it
// was no shorter, and no faster.
package bytesread

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// ErrShort says that the bytes end before the field does. A varint of more than 64 bits is
	// short as well: nobody writes one.
	ErrShort = errors.New("bytes end early")

	// ErrLong says that bytes are left where none should be.
	ErrLong = errors.New("bytes are left over")
)

// Reader reads numbers in big-endian order, varints of encoding/binary, and bytes. What it returns
// after a failure is zero. Make it with New; it is not safe for concurrent use.
type Reader struct {
	b   []byte // what is not read yet; empty after a failure
	err error  // the first failure
}

// New returns a Reader of b, which it never changes and which Bytes and Prefixed return parts of.
func New(b []byte) Reader { return Reader{b: b} }

// Fail ends the reading with err, unless it has failed before.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// Err returns the first failure.
func (r *Reader) Err() error { return r.err }

// Done returns the first failure, or ErrLong when bytes are left.
func (r *Reader) Done() error {
	if len(r.b) > 0 {
		r.Fail(ErrLong)
	}
	return r.err
}

// Len returns how many bytes are left.
func (r *Reader) Len() int { return len(r.b) }

// Rest returns what is left, still to be read: a part of the bytes given to New.
func (r *Reader) Rest() []byte { return r.b }

// Resume goes on with b: what another decoder left of Rest, or what the rest unpacks to. After a
// failure it does nothing.
func (r *Reader) Resume(b []byte) {
	if r.err == nil {
		r.b = b
	}
}

// Uint8 reads one byte.
func (r *Reader) Uint8() uint8 {
	if len(r.b) < 1 {
		return r.short()
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// Uint16 reads two bytes.
func (r *Reader) Uint16() uint16 {
	if len(r.b) < 2 {
		return uint16(r.short())
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

// Uint32 reads four bytes.
func (r *Reader) Uint32() uint32 {
	if len(r.b) < 4 {
		return uint32(r.short())
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// Uint64 reads eight bytes.
func (r *Reader) Uint64() uint64 {
	if len(r.b) < 8 {
		return uint64(r.short())
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// Uvarint reads an unsigned varint.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		return uint64(r.short())
	}
	r.b = r.b[n:]
	return v
}

// Varint reads a signed varint.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		return int64(r.short())
	}
	r.b = r.b[n:]
	return v
}

// Count reads an unsigned varint that is at most limit. A larger one is a failure that names both.
func (r *Reader) Count(limit int) int {
	n := r.Uvarint()
	if n > uint64(limit) {
		r.Fail(fmt.Errorf("%d is above the bound of %d", n, limit))
		return 0
	}
	return int(n)
}

// Bytes reads the next n bytes; n < 0 fails. They are part of the bytes given to New: appending to
// them copies, writing into them does not.
func (r *Reader) Bytes(n int) []byte {
	if uint(n) > uint(len(r.b)) {
		r.short()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Prefixed reads a length, an unsigned varint of at most limit, and that many bytes, as Bytes does.
func (r *Reader) Prefixed(limit int) []byte { return r.Bytes(r.Count(limit)) }

// Text is Prefixed as a string of its own.
func (r *Reader) Text(limit int) string { return string(r.Prefixed(limit)) }

// short notes that the bytes have ended and returns the zero that is read instead.
func (r *Reader) short() uint8 {
	r.Fail(ErrShort)
	return 0
}
