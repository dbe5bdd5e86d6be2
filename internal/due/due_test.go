package due

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type thing struct{ mark Mark }

func (t *thing) Due() *Mark { return &t.mark }

// TestHeap compares a heap with a slice that is sorted anew for each question.
func TestHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Heap[*thing]
		all := make([]*thing, 12)
		for i := range all {
			all[i] = new(thing)
		}
		want := map[*thing]int64{}
		some := rapid.SampledFrom(all)
		at := rapid.Int64Range(-20, 20)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				x, v := some.Draw(t, "item"), at.Draw(t, "at")
				h.Set(x, v)
				want[x] = v
			},
			"remove": func(t *rapid.T) {
				x := some.Draw(t, "item")
				h.Remove(x)
				delete(want, x)
			},
			"pop": func(t *rapid.T) {
				if x, ok := h.First(); ok {
					h.Remove(x)
					delete(want, x)
				}
			},
			"": func(t *rapid.T) {
				check(t, &h, all, want, at.Draw(t, "now"))
			},
		})
	})
}

func check(t *rapid.T, h *Heap[*thing], all []*thing, want map[*thing]int64, now int64) {
	if h.Len() != len(want) {
		t.Fatalf("got %d items, want %d", h.Len(), len(want))
	}
	passed := map[*thing]bool{}
	for x := range h.Passed(now) {
		if passed[x] {
			t.Fatal("an item passed twice")
		}
		passed[x] = true
	}
	first, ok := h.First()
	if ok != (len(want) > 0) {
		t.Fatalf("first: got %v with %d items", ok, len(want))
	}
	for _, x := range all {
		at, in := want[x]
		if x.mark.Waiting() != in {
			t.Fatalf("waiting: got %v, want %v", x.mark.Waiting(), in)
		}
		if in && (x.mark.At != at || at < first.mark.At) {
			t.Fatalf("got an item at %d, want %d and not before the first, %d", x.mark.At, at, first.mark.At)
		}
		if passed[x] != (in && at <= now) {
			t.Fatalf("at %d, now %d: passed is %v", at, now, passed[x])
		}
	}
}

func TestPassedMayEndEarly(t *testing.T) {
	var h Heap[*thing]
	for i := range 10 {
		h.Set(new(thing), int64(i))
	}
	n := 0
	for range h.Passed(100) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("got %d items, want 3", n)
	}
}

func TestRemovedItemIsForgotten(t *testing.T) {
	var h Heap[*thing]
	x := new(thing)
	h.Set(x, 1)
	h.Remove(x)
	if held := h.items[:cap(h.items)]; slices.Contains(held, x) {
		t.Error("the heap still points to it")
	}
}

func TestMovingAllocatesNothing(t *testing.T) {
	var h Heap[*thing]
	x := new(thing)
	h.Set(x, 1)
	h.Set(new(thing), 2)
	if n := testing.AllocsPerRun(100, func() { h.Remove(x); h.Set(x, 3); h.Set(x, 1) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

type ahead struct{ by int64 }

func (a *ahead) Stamp(t time.Time) int64    { return t.UnixMilli() + a.by }
func (a *ahead) Time(stamp int64) time.Time { return time.UnixMilli(stamp - a.by) }

func TestClockOf(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_123)
	for name, c := range map[string]struct {
		clock Clock
		want  int64
	}{
		"a store":  {ClockOf(&ahead{by: 7}), at.UnixMilli() + 7},
		"no store": {ClockOf((*ahead)(nil)), at.UnixMilli()},
	} {
		stamp := c.clock.Stamp(at)
		if back := c.clock.Time(stamp); stamp != c.want || !back.Equal(at) {
			t.Errorf("%s: got %d and %v, want %d and %v", name, stamp, back, c.want, at)
		}
	}
}
