package seen

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// take marks o as a frame of its own that is kept, and tells whether it was new.
func (s *Filter) take(o mqtt.Origin, b *batch.Batch) bool {
	var t Touched
	isNew := s.Mark(o, &t, b)
	s.Write(t, b)
	s.Settle(t, nil)
	return isNew
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// P2: a hundred thousand origins, each with messages in one chunk and half of them in two, in the default room of a core. Repeats of all of them are
// recognised. What the filter says that it takes is what it takes.
func TestHundredThousandOrigins(t *testing.T) {
	const room, origins = 64 << 20, 100_000
	before := heap()
	evicted := 0
	s := New(Config{Window: 1024, MaxBytes: room, Beyond: func() {}, Evicted: func() { evicted++ }})
	first := make([]mqtt.Origin, origins)
	for i := range first {
		first[i] = mqtt.Origin{Life: rand.Uint64(), Seq: rand.Uint64N(1<<48) * chunkBits}
	}
	each := func(o mqtt.Origin, i int) (marks []mqtt.Origin) {
		marks = []mqtt.Origin{o, {Life: o.Life, Seq: o.Seq + 3}}
		if i%2 == 0 {
			marks = append(marks, mqtt.Origin{Life: o.Life, Seq: o.Seq + chunkBits})
		}
		return marks
	}
	for i, o := range first {
		for _, m := range each(o, i) {
			if !s.take(m, new(batch.Batch)) {
				t.Fatalf("%v is a repeat, want new", m)
			}
		}
	}
	n, size := s.Size()
	if took := int(heap() - before); n != origins || evicted != 0 || size > room || took > size+size/8 || took < size/2 {
		t.Errorf("got %d origins in %d bytes, %d of the heap, %d chunks evicted, want %d in at most %d, none evicted", n, size, took, evicted, origins, room)
	}
	for i, o := range first {
		for _, m := range each(o, i) {
			if s.take(m, new(batch.Batch)) {
				t.Fatalf("%v is new again, want a repeat", m)
			}
		}
	}
}

// Whoever has most gives up its oldest; ended lives go before all others.
func TestWhoGivesWay(t *testing.T) {
	s := testFilter(1000, 40, func() {})
	b := new(batch.Batch)
	mark := func(life uint64, chunks ...uint64) (isNew bool) {
		for _, c := range chunks {
			isNew = s.take(mqtt.Origin{Life: life, Seq: c * chunkBits}, b)
		}
		return isNew
	}
	for life := uint64(1); life <= 10; life++ {
		mark(life, 1)
	}
	for c := range uint64(300) {
		mark(99, c)
	}
	for life := uint64(1); life <= 10; life++ {
		if mark(life, 1) {
			t.Fatalf("origin %d with one chunk gave way to one with hundreds", life)
		}
	}
	if !mark(99, 0) || mark(99, 299) {
		t.Errorf("want the oldest chunks of the largest origin to have given way")
	}
	s.End([]uint64{3, 4, 1000})
	mark(100, 1, 2, 3, 4)
	if mark(1, 1) || mark(99, 299) {
		t.Errorf("others gave way before an ended life")
	}
	if !mark(3, 1) {
		t.Errorf("an ended life is still known, want it to have given way")
	}
}

// What is counted is what is there, and on disk is nothing that memory has given up.
func TestRoomIsKept(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := testFilter(rapid.IntRange(1, 20).Draw(rt, "window"), rapid.IntRange(3, 12).Draw(rt, "room"), func() {})
		life := rapid.Uint64Range(1, 12)
		var open []Touched
		rt.Repeat(map[string]func(*rapid.T){
			"mark": func(rt *rapid.T) {
				s.take(mqtt.Origin{Life: life.Draw(rt, "life"), Seq: chunkBits * rapid.Uint64Range(0, 30).Draw(rt, "chunk")}, new(batch.Batch))
			},
			"begin": func(rt *rapid.T) {
				var t Touched
				s.Mark(mqtt.Origin{Life: life.Draw(rt, "life"), Seq: chunkBits * rapid.Uint64Range(0, 30).Draw(rt, "chunk")}, &t, new(batch.Batch))
				s.Write(t, new(batch.Batch))
				open = append(open, t)
			},
			"settle": func(rt *rapid.T) {
				if len(open) == 0 {
					rt.Skip()
				}
				s.Settle(open[0], nil)
				open = open[1:]
			},
			"end": func(rt *rapid.T) { s.End([]uint64{life.Draw(rt, "life")}) },
			"":    func(rt *rapid.T) { s.check(rt) },
		})
	})
}

func (s *Filter) check(t *rapid.T) {
	size, listed := 0, 0
	for id, o := range s.origins {
		size += originBytes
		if len(o.chunks) == 0 || len(o.chunks) > s.maxChunks || o.id != id {
			t.Fatalf("origin %d has %d chunks", id, len(o.chunks))
		}
		for _, c := range o.chunks {
			if size += chunkBytes + slotBytes*len(c.slots); c.gone {
				t.Fatalf("origin %d holds a chunk that is gone", id)
			}
		}
		if o.in != s.lists.of(o) {
			t.Fatalf("origin %d with %d chunks is in another list", id, len(o.chunks))
		}
	}
	for _, l := range append(s.lists.running[:], s.lists.ended) {
		for o := l.front; o != nil; o = o.next {
			listed++
		}
	}
	if size != s.bytes || listed != len(s.origins) {
		t.Fatalf("counted %d bytes and %d origins, got %d and %d", s.bytes, listed, size, len(s.origins))
	}
	if over := s.bytes - s.maxBytes; over > 20*slotBytes {
		t.Fatalf("%d bytes above the bound", over)
	}
}

// A filter that is full does not slow down with the number of origins: each mark is of a new one.
func BenchmarkNewOriginWhenFull(b *testing.B) {
	s := New(Config{Window: 1024, MaxBytes: 64 << 20, Beyond: func() {}, Evicted: func() {}})
	writes := new(batch.Batch)
	for range 180_000 {
		s.take(mqtt.Origin{Life: rand.Uint64(), Seq: 1}, new(batch.Batch))
	}
	for b.Loop() {
		*writes = batch.Batch{}
		s.take(mqtt.Origin{Life: rand.Uint64(), Seq: 1}, writes)
	}
}

// BenchmarkMark is what a message costs: 64 origins in turns, 256 messages a frame.
func BenchmarkMark(b *testing.B) {
	s := New(Config{Window: 1024, MaxBytes: 64 << 20, Beyond: func() {}, Evicted: func() {}})
	var t Touched
	writes, seq := new(batch.Batch), uint64(0)
	for b.Loop() {
		if seq++; seq%256 == 0 {
			s.Write(t, writes)
			s.Settle(t, nil)
			t, *writes = t[:0], batch.Batch{}
		}
		s.Mark(mqtt.Origin{Life: 1 + seq%64, Seq: seq / 64}, &t, writes)
	}
}

// BenchmarkLoad is a start with 100,000 origins of three chunks each.
func BenchmarkLoad(b *testing.B) {
	st := openStore(b, b.TempDir())
	for range 100 {
		writes := new(batch.Batch)
		for range 1000 {
			id := rand.Uint64()
			for n := range uint64(3) {
				putSlot(writes, id, n, 0, &chunkSet{1})
			}
		}
		commit(b, st, writes)
	}
	for b.Loop() {
		s := New(Config{Window: 1024, MaxBytes: 256 << 20, Beyond: func() {}, Evicted: func() {}})
		if err := s.Load(st); err != nil {
			b.Fatal(err)
		}
		if n, _ := s.Size(); n != 100_000 {
			b.Fatalf("got %d origins, want 100,000", n)
		}
	}
}
