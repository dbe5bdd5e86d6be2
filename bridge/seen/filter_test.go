package seen

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"mangrove/internal/batch"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// testFilter has a small window and room for so many origins of one chunk with a slot.
func testFilter(maxChunks, origins int, beyond func()) *Filter {
	f := New(Config{MaxBytes: origins * (originBytes + chunkBytes + slotBytes), Beyond: beyond, Evicted: func() {}})
	f.maxChunks, f.lazy = maxChunks, 0
	return f
}

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// told is a waiter that hands the outcome on.
type told chan error

func (d told) Committed(_ uint64, err error) { d <- err }

func commit(t testing.TB, st *store.Store, b *batch.Batch) {
	t.Helper()
	done := make(told, 1)
	b.Notify(done, 0)
	st.Commit(b)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Within the window, seen is a set.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, model := testFilter(8, 1000, func() {}), map[mqtt.Origin]bool{}
		writes := new(batch.Batch)
		number := rapid.Uint64Range(0, 8*chunkBits-1)
		base := rapid.SampledFrom([]uint64{0, 1 << 32, 1<<63 - 1<<20}).Draw(t, "base") &^ (chunkBits - 1)
		t.Repeat(map[string]func(*rapid.T){
			"mark": func(t *rapid.T) {
				o := mqtt.Origin{Life: rapid.Uint64Range(1, 4).Draw(t, "store"), Seq: base + number.Draw(t, "seq")}
				var touched Touched
				if got := s.Mark(o, &touched, writes); got == model[o] {
					t.Fatalf("mark %v: got new %v, want %v", o, got, !model[o])
				}
				s.Write(touched, writes)
				s.Settle(touched, nil)
				model[o] = true
			},
			"forget": func(t *rapid.T) {
				o := mqtt.Origin{Life: rapid.Uint64Range(1, 4).Draw(t, "store"), Seq: base + number.Draw(t, "seq")}
				s.Forget([]mqtt.Origin{o}, writes)
				delete(model, o)
			},
		})
	})
}

func TestSurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	s := testFilter(64, 1000, func() {})
	var marked []mqtt.Origin
	for range 200 {
		writes, touched := new(batch.Batch), Touched(nil)
		for range 10 {
			o := mqtt.Origin{Life: 1 + rand.Uint64N(3), Seq: rand.Uint64N(32 * chunkBits)}
			s.Mark(o, &touched, writes)
			marked = append(marked, o)
		}
		s.Write(touched, writes)
		commit(t, st, writes)
		s.Settle(touched, nil)
	}
	again := testFilter(64, 1000, func() {})
	if err := again.Load(st); err != nil {
		t.Fatal(err)
	}
	for _, o := range marked {
		if again.Mark(o, new(Touched), new(batch.Batch)) {
			t.Fatalf("%v is new after reopening, want a repeat", o)
		}
	}
	if !again.Mark(mqtt.Origin{Life: 1, Seq: 40 * chunkBits}, new(Touched), new(batch.Batch)) {
		t.Errorf("a number that was never marked is a repeat, want new")
	}
}

// Frames under way at the same time, refused or kept in any pattern: on disk are the marks of those that were kept, no others.
func TestOfFramesUnderWay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type frame struct {
			marks []mqtt.Origin
			t     Touched
			b     *batch.Batch
		}
		s := testFilter(64, 1000, func() {})
		disk := map[string][]byte{} // what the kept batches wrote
		kept := map[mqtt.Origin]bool{}
		var open []*frame
		rt.Repeat(map[string]func(*rapid.T){
			"frame": func(rt *rapid.T) {
				f := &frame{b: new(batch.Batch)}
				for range rapid.IntRange(1, 3).Draw(rt, "n") {
					o := mqtt.Origin{Life: 1, Seq: rapid.Uint64Range(0, 2*chunkBits-1).Draw(rt, "seq")}
					if s.Mark(o, &f.t, f.b) {
						f.marks = append(f.marks, o)
					}
				}
				s.Write(f.t, f.b)
				open = append(open, f)
			},
			"outcome": func(rt *rapid.T) { // in the order of the batches
				if len(open) == 0 {
					rt.Skip()
				}
				f := open[0]
				open = open[1:]
				if rapid.Bool().Draw(rt, "refused") {
					s.Settle(f.t, store.ErrFull)
					s.Forget(f.marks, new(batch.Batch))
					return
				}
				for i := range f.t {
					f.t[i].replay(disk)
				}
				s.Settle(f.t, nil)
				for _, o := range f.marks {
					kept[o] = true
				}
			},
			"": func(rt *rapid.T) {
				again := testFilter(64, 1000, func() {})
				for k, v := range disk {
					again.loadSlot(1, binary.BigEndian.Uint64([]byte(k)[8:]), int(binary.BigEndian.Uint16([]byte(k)[16:])), v)
				}
				for seq := range uint64(2 * chunkBits) {
					o := mqtt.Origin{Life: 1, Seq: seq}
					if got := !again.Mark(o, new(Touched), new(batch.Batch)); got != kept[o] {
						rt.Fatalf("number %d: on disk %v, want %v", seq, got, kept[o])
					}
				}
			},
		})
	})
}

// replay does to disk what a batch with t does.
func (t *touchedChunk) replay(disk map[string][]byte) {
	for i := range t.merged {
		delete(disk, string(slotKey(t.origin, t.c.number, i)))
	}
	value := make([]byte, 0, chunkBits/8)
	for _, word := range t.value {
		value = binary.BigEndian.AppendUint64(value, word)
	}
	disk[string(slotKey(t.origin, t.c.number, t.slot))] = value
}

// Numbers below the window are taken for new, and counted. A jump does not push out what came shortly before.
// Marks of a batch that was refused are not written by a later one: after a crash the message is new.
func TestRefusedMarksAreNotWritten(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := testFilter(64, 1000, func() {})
	refused, kept := mqtt.Origin{Life: 1, Seq: 7}, mqtt.Origin{Life: 1, Seq: 8}
	var one, other Touched
	lost, writes := new(batch.Batch), new(batch.Batch)
	s.Mark(refused, &one, lost)
	s.Write(one, lost)
	s.Settle(one, store.ErrFull)
	s.Mark(kept, &other, writes)
	s.Write(other, writes)
	commit(t, st, writes)
	s.Settle(other, nil)
	again := testFilter(64, 1000, func() {})
	if err := again.Load(st); err != nil {
		t.Fatal(err)
	}
	if !again.Mark(refused, new(Touched), new(batch.Batch)) || again.Mark(kept, new(Touched), new(batch.Batch)) {
		t.Error("got other marks on disk than those of the batch that was kept")
	}
}

func TestWindow(t *testing.T) {
	beyond := 0
	s, writes := testFilter(4, 1000, func() { beyond++ }), new(batch.Batch)
	mark := func(seq uint64) bool { return s.Mark(mqtt.Origin{Life: 1, Seq: seq}, new(Touched), writes) }
	for _, seq := range []uint64{0, 1 << 32, 1<<32 + chunkBits, 1 << 33} {
		if !mark(seq) || mark(seq) {
			t.Errorf("%d: want new, then a repeat", seq)
		}
	}
	if !mark(1<<33+chunkBits) || !mark(0) || !mark(0) || mark(1<<32) {
		t.Errorf("want 0 to have left the window, and 1<<32 not")
	}
	if beyond != 2 {
		t.Errorf("got %d numbers below the window, want 2", beyond)
	}
}

// At the bound the origin that was not heard of for longest is forgotten, on disk too.
func TestForgetsOrigins(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := testFilter(4, 2, func() {})
	for _, origin := range []uint64{1, 2, 1, 3} {
		writes, touched := new(batch.Batch), Touched(nil)
		s.Mark(mqtt.Origin{Life: origin, Seq: 5}, &touched, writes)
		s.Write(touched, writes)
		commit(t, st, writes)
		s.Settle(touched, nil)
	}
	for name, each := range map[string]*Filter{"in memory": s, "on disk": testFilter(4, 2, func() {})} {
		if name == "on disk" {
			if err := each.Load(st); err != nil {
				t.Fatal(err)
			}
		}
		if each.origins[1] == nil || each.origins[2] != nil || each.origins[3] == nil {
			t.Errorf("%s: want origins 1 and 3", name)
		}
	}
}
