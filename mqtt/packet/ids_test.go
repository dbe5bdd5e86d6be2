package packet

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// Whatever is done to IDs, they hold what a map would.
func TestIDsLikeAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var ids IDs
	want := map[uint16]byte{}
	for step := range 200_000 {
		id, v := uint16(rnd.UintN(1<<16)), byte(rnd.UintN(3)) // spread: more is put in than taken out
		if step >= 60_000 {
			id = uint16(step / 40 * 7) // few at a time
		}
		if step >= 150_000 {
			v = 0
			for id = range want {
				break
			}
		}
		if got := ids.Get(id); got != want[id] {
			t.Fatalf("step %d, id %d: got %d, want %d", step, id, got, want[id])
		}
		ids.Set(id, v)
		if want[id] = v; v == 0 {
			delete(want, id)
		}
		if ids.Len() != len(want) {
			t.Fatalf("step %d: got %d in use, want %d", step, ids.Len(), len(want))
		}
		if step%1000 == 0 {
			if got := maps.Collect(ids.All()); !maps.Equal(got, want) {
				t.Fatalf("step %d: got other identifiers than a map has", step)
			}
		}
	}
	if ids.Len() != 0 || len(ids.pages) != 0 {
		t.Fatalf("at the end: got %d in use on %d pages, want none", ids.Len(), len(ids.pages))
	}
}

// Identifiers that are given out in turn take two pages and a spare one, and no allocation each.
func TestIDsInTurn(t *testing.T) {
	const window = 32
	var ids IDs
	next := uint16(0)
	turn := func() {
		next++
		ids.Set(next, 1)
		ids.Set(next-window, 0)
		if len(ids.pages) > 2 {
			t.Fatalf("id %d: got %d pages, want 2 at most", next, len(ids.pages))
		}
	}
	for range 1000 {
		turn()
	}
	if got := testing.AllocsPerRun(100, func() {
		for range 1 << 16 {
			turn()
		}
	}); got != 0 {
		t.Errorf("got %v allocations in a round of all identifiers, want 0", got)
	}
	if len(ids.pages) > 2 || ids.Len() > window {
		t.Errorf("got %d pages with %d identifiers, want 2 with %d at most", len(ids.pages), ids.Len(), window)
	}
}

// The loop may change the numbers, and may end early.
func TestIDsAll(t *testing.T) {
	var ids IDs
	for _, id := range []uint16{1, 255, 256, 65535} {
		ids.Set(id, 1)
	}
	n := 0
	for id, v := range ids.All() {
		ids.Set(id, v+1)
		if n++; n == 3 {
			break
		}
	}
	sum := 0
	for _, v := range ids.All() {
		sum += int(v)
	}
	if n != 3 || sum != 7 {
		t.Errorf("got %d visited and a sum of %d, want 3 and 7", n, sum)
	}
}
