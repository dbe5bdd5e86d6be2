package frame

import (
	"encoding/binary"
	"time"

	"mangrove/internal/bytesread"
)

// Fragment is a part of a DATA frame that is too large for the line, or for one frame. The parts of a frame come in order,
// on one connection after the other; other kinds of frame may come between them.
//
//	version   1
//	lane      1
//	name      8, of the whole frame: drawn at random when it was written
//	size      uvarint, bytes of the whole frame
//	from      uvarint, where in it these bytes belong
//	age       uvarint, milliseconds since it was written
//	bytes     uvarint length, bytes
type Fragment struct {
	Lane  byte
	Name  uint64
	Size  int
	From  int
	Age   time.Duration
	Bytes []byte
}

// Append writes the frame behind dst.
func (f Fragment) Append(dst []byte) []byte {
	dst = append(dst, version, f.Lane)
	dst = binary.BigEndian.AppendUint64(dst, f.Name)
	dst = binary.AppendUvarint(dst, uint64(f.Size))
	dst = binary.AppendUvarint(dst, uint64(f.From))
	dst = binary.AppendUvarint(dst, uint64(max(f.Age.Milliseconds(), 0)))
	return AppendPrefixed(dst, f.Bytes)
}

// DecodeFragment reads a FRAGMENT frame. Its bytes alias b.
func DecodeFragment(b []byte) (f Fragment, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f.Lane = r.Uint8()
	f.Name = r.Uint64()
	f.Size = r.Count(MaxSize)
	f.From = r.Count(f.Size)
	f.Age = time.Duration(r.Count(maxAge)) * time.Millisecond
	f.Bytes = r.Prefixed(f.Size - f.From)
	return f, done(&r, KindFragment)
}

// maxAge is the most milliseconds that a frame may be under way: 24 days, what an int of 32 bits holds.
const maxAge = 1<<31 - 1

// Held answers a FRAGMENT: so much of the whole frame has come.
//
//	version   1
//	name      8
//	bytes     uvarint
//	came      uvarint milliseconds; left out = not told
type Held struct {
	Name  uint64
	Bytes int
	Came  time.Duration // when it came, as in Ack
}

// Append writes the frame behind dst.
func (f Held) Append(dst []byte) []byte {
	dst = append(dst, version)
	dst = binary.BigEndian.AppendUint64(dst, f.Name)
	return appendCame(binary.AppendUvarint(dst, uint64(f.Bytes)), f.Came)
}

// DecodeHeld reads a HELD frame.
func DecodeHeld(b []byte) (f Held, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f = Held{Name: r.Uint64(), Bytes: r.Count(MaxSize)}
	f.Came = readCame(&r)
	return f, done(&r, KindHeld)
}
