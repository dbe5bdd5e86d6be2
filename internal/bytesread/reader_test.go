package bytesread

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

type fields struct {
	u8       uint8
	u16      uint16
	u32      uint32
	u64      uint64
	uvarint  uint64
	varint   int64
	count    int
	bytes    string
	prefixed string
	text     string
}

var want = fields{0xA1, 0xB2C3, 0xD4E5F607, 1<<63 + 5, math.MaxUint64, math.MinInt64, 300, "abc", "", "täxt"}

func (f fields) encode() []byte {
	b := []byte{f.u8}
	b = binary.BigEndian.AppendUint16(b, f.u16)
	b = binary.BigEndian.AppendUint32(b, f.u32)
	b = binary.BigEndian.AppendUint64(b, f.u64)
	b = binary.AppendUvarint(b, f.uvarint)
	b = binary.AppendVarint(b, f.varint)
	b = binary.AppendUvarint(b, uint64(f.count))
	b = append(b, f.bytes...)
	b = append(binary.AppendUvarint(b, uint64(len(f.prefixed))), f.prefixed...)
	return append(binary.AppendUvarint(b, uint64(len(f.text))), f.text...)
}

func decode(b []byte) (fields, error) {
	r := New(b)
	f := fields{u8: r.Uint8(), u16: r.Uint16(), u32: r.Uint32(), u64: r.Uint64(), uvarint: r.Uvarint(), varint: r.Varint(),
		count: r.Count(300), bytes: string(r.Bytes(3)), prefixed: string(r.Prefixed(0)), text: r.Text(5)}
	return f, r.Done()
}

func TestReadsWhatWasWritten(t *testing.T) {
	got, err := decode(want.encode())
	if err != nil || got != want {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestCutAtEveryByte(t *testing.T) {
	b := want.encode()
	for n := range b {
		if _, err := decode(b[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("%d of %d bytes: got %v, want ErrShort", n, len(b), err)
		}
	}
	if _, err := decode(append(b, 0)); !errors.Is(err, ErrLong) {
		t.Errorf("one byte more: got %v, want ErrLong", err)
	}
}

func TestZeroAfterTheFirstFailure(t *testing.T) {
	mine := errors.New("mine")
	r := New([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	r.Fail(mine)
	r.Fail(errors.New("a later one"))
	r.Resume([]byte{1, 2})
	if r.Uint8() != 0 || r.Uint16() != 0 || r.Uint32() != 0 || r.Uint64() != 0 || r.Uvarint() != 0 || r.Varint() != 0 ||
		r.Count(9) != 0 || r.Bytes(1) != nil || r.Prefixed(9) != nil || r.Text(9) != "" || r.Len() != 0 || r.Rest() != nil {
		t.Error("something was read after a failure")
	}
	if r.Err() != mine || r.Done() != mine {
		t.Errorf("got %v, %v, want the first failure", r.Err(), r.Done())
	}
}

func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		read func(*Reader)
		want string
	}{
		"count":           {[]byte{11}, func(r *Reader) { r.Count(10) }, "11 is above the bound of 10"},
		"count of 64 bit": {binary.AppendUvarint(nil, math.MaxUint64), func(r *Reader) { r.Count(math.MaxInt) }, "18446744073709551615 is above the bound of 9223372036854775807"},
		"prefixed":        {[]byte{2, 'a', 'b'}, func(r *Reader) { r.Prefixed(1) }, "2 is above the bound of 1"},
		"negative":        {[]byte{1, 2}, func(r *Reader) { r.Bytes(-1) }, ErrShort.Error()},
		"varint too long": {bytes.Repeat([]byte{0x80}, 11), func(r *Reader) { r.Uvarint() }, ErrShort.Error()},
	} {
		r := New(c.b)
		c.read(&r)
		if err := r.Err(); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if r.Len() != 0 {
			t.Errorf("%s: %d bytes left, want none", name, r.Len())
		}
	}
}

func TestBytesArePartsThatCannotGrow(t *testing.T) {
	b := []byte{1, 2, 3}
	r := New(b)
	part := r.Bytes(2)
	if _ = append(part, 9); b[2] != 3 {
		t.Error("appending to a part wrote into the next one")
	}
	if rest := r.Rest(); len(rest) != 1 || &rest[0] != &b[2] || r.Len() != 1 {
		t.Errorf("rest is %v, want the third byte", rest)
	}
}

func TestResumeGoesOnElsewhere(t *testing.T) {
	r := New([]byte{1, 2})
	r.Uint8()
	r.Resume([]byte{7, 8})
	if got := r.Uint16(); got != 0x0708 {
		t.Errorf("got %#x, want 0x0708", got)
	}
	if err := r.Done(); err != nil {
		t.Error(err)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	b := want.encode()
	n := testing.AllocsPerRun(100, func() {
		r := New(b)
		r.Uint8()
		r.Uint16()
		r.Uint32()
		r.Uint64()
		r.Uvarint()
		r.Varint()
		r.Bytes(r.Count(300) / 100)
		r.Prefixed(0)
		r.Prefixed(5)
		if r.Done() != nil {
			t.Error(r.Err())
		}
	})
	if n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(want.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := decode(b); err == nil {
			if again, err := decode(got.encode()); err != nil || again != got {
				t.Errorf("%x: got %+v, %v, want %+v", b, again, err, got)
			}
		}
	})
}
