package batch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func body(text string) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, text...) }
}

// told is a waiter that notes what it was told.
type told []string

func (t *told) Committed(arg uint64, err error) { *t = append(*t, fmt.Sprint(arg, " ", err)) }

func TestOperationsOfABatch(t *testing.T) {
	var b Batch
	b.Put(Queues, []byte("k"), []byte("v"))
	b.PutRef(Seen, []byte("r"), 7, []byte("rest"), body("text"))
	b.PutRef(Seen, []byte("s"), 7, nil, func([]byte) []byte { t.Fatal("a body was encoded twice"); return nil })
	b.Delete(Retained, []byte("k"))
	b.DeleteRange(Interest, []byte("a"), []byte("b"))
	b.DeleteRange(Interest, []byte("a"), nil)
	want := []string{
		`1 3 "k" "\x00v"`,
		`5 body 7 +0 "text"`,
		`1 8 "r" "\x01\x00\x00\x00\x00\x00\x00\x00\arest"`,
		`1 8 "s" "\x01\x00\x00\x00\x00\x00\x00\x00\a"`,
		`2 5 "k" ""`,
		`3 9 "a" "b"`,
		`4 9 "a" ""`,
	}
	var got []string
	for ops := b.Ops(); len(ops) > 0; {
		o, rest, err := Next(ops)
		if err != nil {
			t.Fatal(err)
		}
		if ops = rest; o.Table == 0 {
			got = append(got, fmt.Sprintf("%d body %d %+d %q", o.Kind, o.ID, o.Refs, o.Body))
		} else {
			got = append(got, fmt.Sprintf("%d %d %q %q", o.Kind, o.Table, o.Key, o.Value))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if b.Count() != len(want) || b.Adds() != len("kv"+"r"+"rest"+"text"+"s") {
		t.Errorf("got %d operations that add %d bytes", b.Count(), b.Adds())
	}
}

func TestValueForms(t *testing.T) {
	for _, c := range []struct {
		value Value
		valid bool
		ref   uint64
	}{
		{nil, false, 0},
		{Value{}, false, 0},
		{Value{0}, true, 0},
		{Value("\x00text"), true, 0},
		{Value("\x01\x00\x00\x00\x00\x00\x00\x00"), false, 0},
		{Value("\x01\x00\x00\x00\x00\x00\x00\x00\x09rest"), true, 9},
		{Value("\x02\x00\x00\x00\x00\x00\x00\x00\x09rest"), false, 0},
	} {
		id, ok := c.value.Ref()
		if c.value.Valid() != c.valid || id != c.ref || ok != (c.ref > 0) {
			t.Errorf("%q: got valid %v, reference %d %v", c.value, c.value.Valid(), id, ok)
		}
	}
	if _, _, ok := RefID(make([]byte, 7)); ok {
		t.Error("a value of 7 bytes was taken for one with a reference")
	}
	if id, rest, ok := RefID([]byte("\x00\x00\x00\x00\x00\x00\x00\x09rest")); id != 9 || string(rest) != "rest" || !ok {
		t.Errorf("got %d %q %v", id, rest, ok)
	}
}

func TestWaitersAreToldInOrder(t *testing.T) {
	refused, given := errors.New("refused"), errors.New("given")
	for _, c := range []struct {
		name string
		fill func(b *Batch)
		err  error
		want string
	}{
		{"stable", func(b *Batch) { b.Put(Queues, []byte("k"), nil) }, nil, "<nil>"},
		{"not stable", func(b *Batch) { b.Put(Queues, []byte("k"), nil) }, given, "given"},
		{"refused before", func(b *Batch) { b.Refuse(refused) }, nil, "refused"},
		{"the first reason", func(b *Batch) { b.Refuse(refused); b.Refuse(given) }, given, "refused"},
		{"a bad key", func(b *Batch) { b.Delete(Queues, nil) }, nil, "write to table 3: key is empty or too long: 0 bytes, allowed are 1 to 131072"},
	} {
		var b Batch
		var w told
		b.Notify(&w, 1)
		c.fill(&b)
		b.Notify(&w, 2)
		if b.Settle(c.err); !slices.Equal(w, told{"1 " + c.want, "2 " + c.want}) {
			t.Errorf("%s: got %q", c.name, w)
		}
	}
}

// Who cannot commit a batch tells its takers so, and the batch goes home.
func TestAbandon(t *testing.T) {
	var p Pool
	var w told
	b := p.Get()
	b.Put(Queues, []byte("k"), nil)
	b.Notify(&w, 1)
	b.Notify(&w, 2)
	if b.Abandon(errors.New("line is down")); !slices.Equal(w, told{"1 line is down", "2 line is down"}) {
		t.Errorf("got %q", w)
	}
	if !b.Empty() || b.Size() != 0 {
		t.Error("an abandoned batch of a pool is not empty again")
	}
	defer func() {
		if recover() == nil {
			t.Error("a batch was abandoned without a reason")
		}
	}()
	new(Batch).Abandon(nil)
}

func TestRefusedBatchKeepsNoMemory(t *testing.T) {
	var b Batch
	b.Put(Queues, []byte("k"), make([]byte, 1000))
	b.Refuse(errors.New("no"))
	if b.Size() != 0 || b.Ops() != nil || b.Empty() {
		t.Errorf("got size %d, empty %v", b.Size(), b.Empty())
	}
}

func TestPooledBatchIsEmptyAgain(t *testing.T) {
	var p Pool
	for i := range 2000 {
		b := p.Get()
		if !b.Empty() || b.Size() != 0 || len(b.bodies.few) != 0 || len(b.bodies.many) != 0 ||
			b.Count() != 0 || b.Adds() != 0 || b.Slack() != Synced || b.Err() != nil {
			t.Fatalf("batch %d is not empty", i)
		}
		for id := range uint64(i%20 + 1) {
			b.PutRef(Queues, []byte("a"), id, nil, body("x"))
			b.PutRef(Queues, []byte("b"), id, nil, func([]byte) []byte { t.Fatal("encoded twice"); return nil })
		}
		b.SetSlack(Unsynced)
		if i%7 == 0 {
			b.Refuse(errors.New("no"))
		}
		b.Settle(nil)
	}
}

// A batch that is used again takes no memory but what it has.
func TestBatchUsedAgainAllocatesNothing(t *testing.T) {
	var b Batch
	var w told
	key, value, encode := []byte("key"), []byte("value"), body("text")
	if n := testing.AllocsPerRun(100, func() {
		b.PutRef(Queues, key, 1, value, encode)
		b.Delete(Queues, key)
		b.Notify(&w, 0)
		if !b.reset() {
			t.Fatal("a small batch is not used again")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
