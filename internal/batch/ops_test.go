package batch

import "testing"

// everyKind has one operation of each kind.
func everyKind() []byte {
	var b Batch
	b.Put(Queues, []byte("key"), []byte("value"))
	b.PutRef(Queues, []byte("key"), 9, []byte("rest"), body("text"))
	b.Delete(Retained, []byte("key"))
	b.DeleteRange(Seen, []byte("a"), []byte("b"))
	b.DeleteRange(Seen, []byte("a"), nil)
	return append(AppendBody(b.Ops(), 7, []byte("x")), "\x06\x00\x00\x00\x00\x00\x00\x00\x07"...)
}

func FuzzOps(f *testing.F) {
	f.Add(everyKind())
	f.Fuzz(func(t *testing.T, ops []byte) {
		for len(ops) > 0 {
			_, rest, err := Next(ops)
			if err != nil {
				return
			}
			if len(rest) >= len(ops) {
				t.Fatal("an operation took no bytes")
			}
			ops = rest
		}
	})
}

func TestOpsCutAtEveryByte(t *testing.T) {
	kinds := map[Kind]bool{}
	for ops := everyKind(); len(ops) > 0; {
		o, rest, err := Next(ops)
		if err != nil {
			t.Fatal(err)
		}
		kinds[o.Kind] = true
		for n := range len(ops) - len(rest) {
			if _, _, err := Next(ops[:n:n]); err == nil {
				t.Errorf("% x cut at %d: got no error", ops[:len(ops)-len(rest)], n)
			}
		}
		ops = rest
	}
	if len(kinds) != int(OpRelease) {
		t.Errorf("got operations of %d kinds, want one of each of %d", len(kinds), OpRelease)
	}
}

func TestOpsThatAreNone(t *testing.T) {
	for _, ops := range []string{
		"", "\x00", "\x07", // no such kind
		"\x01\x00\x01k\x01\x00", "\x01\xfa\x01k\x01\x00", // no such table
		"\x01\x03\x01k\x00", "\x01\x03\x01k\x01\x02", "\x01\x03\x01k\x02\x01x", // no such form of a value
		"\x02\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x02\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", // lengths
		"\x05\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff", // a body that is not there
	} {
		if o, _, err := Next([]byte(ops)); err == nil {
			t.Errorf("%q: got %+v, want an error", ops, o)
		}
	}
}

// Decoding takes no memory, whatever lengths the bytes claim.
func TestDecodingAllocatesNothing(t *testing.T) {
	whole := everyKind()
	claims := []byte("\x05\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff")
	if n := testing.AllocsPerRun(100, func() {
		for ops := whole; len(ops) > 0; {
			_, ops, _ = Next(ops)
		}
		if _, _, err := Next(claims); err == nil {
			t.Error("got no error")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
