package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errShort = errors.New("bytes end early")

// Reader takes bytes apart and remembers the first thing that was wrong; from then on it reads zeroes.
type Reader struct {
	B   []byte // what is left
	Err error
}

// Fail notes err unless something was wrong before.
func (r *Reader) Fail(err error) {
	if r.Err == nil {
		r.Err = err
	}
	r.B = nil
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.B) == 0 {
		r.Fail(errShort)
		return 0
	}
	v := r.B[0]
	r.B = r.B[1:]
	return v
}

// Uvarint reads a number.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.B)
	if n <= 0 {
		r.Fail(errShort)
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Count reads a number of things that is at most limit.
func (r *Reader) Count(limit int) int {
	n := r.Uvarint()
	if n > uint64(limit) {
		r.Fail(fmt.Errorf("%d is above the bound of %d", n, limit))
		return 0
	}
	return int(n)
}

// Bytes reads a length, at most limit, and that many bytes, which alias those of the Reader.
func (r *Reader) Bytes(limit int) []byte {
	n := r.Count(limit)
	if n > len(r.B) {
		r.Fail(errShort)
		return nil
	}
	v := r.B[:n:n]
	r.B = r.B[n:]
	return v
}

// String reads a length, at most limit, and a copy of that many bytes.
func (r *Reader) String(limit int) string { return string(r.Bytes(limit)) }

// version reads the first byte of a frame.
func (r *Reader) version() {
	if v := r.Byte(); v == 0 && r.Err == nil {
		r.Fail(errors.New("frame version 0"))
	}
}

// done wraps what was wrong, if anything, with the kind of frame.
func (r *Reader) done(kind string) error {
	if r.Err == nil {
		return nil
	}
	return fmt.Errorf("decode %s frame: %w", kind, r.Err)
}

// AppendString writes a length and the bytes of s.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
