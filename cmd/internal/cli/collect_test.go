package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"
)

func TestHeapFloor(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 400}, {1 << 20, 400}, {4 << 20, 300}, {6 << 20, 150}, {8 << 20, 100}, {1 << 30, 100},
	} {
		got := gogcFor(c.live)
		if got != c.want {
			t.Errorf("%d bytes live: got GOGC %d, want %d", c.live, got, c.want)
		}
		if goal := max(goMinimum*uint64(got)/100, c.live*uint64(100+got)/100); goal > max(heapFloor, 2*c.live) {
			t.Errorf("%d bytes live: the heap may grow to %d, want at most the floor or twice what lives", c.live, goal)
		}
	}
}

func TestGOGCFollowsTheHeap(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(usualGOGC))
	p := startPacer()
	defer p.stopped.Store(true)
	held := make([]byte, 2*heapFloor)
	awaitGOGC(t, "much lives", func(gogc uint64) bool { return gogc == usualGOGC })
	runtime.KeepAlive(held)
	held = nil
	awaitGOGC(t, "little lives", func(gogc uint64) bool { return gogc > usualGOGC })
}

// awaitGOGC collects until GOGC is right.
func awaitGOGC(t *testing.T, when string, right func(uint64) bool) {
	t.Helper()
	now := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for end := time.Now().Add(10 * time.Second); ; runtime.GC() {
		metrics.Read(now)
		switch gogc := now[0].Value.Uint64(); {
		case right(gogc):
			return
		case time.Now().After(end):
			t.Fatalf("%s: got GOGC %d", when, gogc)
		}
	}
}

func TestGarbageOfTheStartIsGivenBack(t *testing.T) {
	resident := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64() + s[1].Value.Uint64() + s[2].Value.Uint64()
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nobody else collects
	garbage := make([]byte, 4*heapFloor)
	for i := 0; i < len(garbage); i += 4096 {
		garbage[i] = 1
	}
	garbage = nil
	before := resident()
	giveBack()
	if after := resident(); after > before-3*heapFloor {
		t.Errorf("got %d bytes resident, before it was %d, want most of %d given back", after, before, 4*heapFloor)
	}
}

func TestCalm(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name string
		from calm
		then heap
		want bool
		next bool // a moment later, when nothing else came
	}{
		{"after a burst", calm{last: 100 * mib, given: 50 * mib}, heap{allocated: 100 * mib, live: 5 * mib}, true, false},
		{"within one", calm{last: 99 * mib, given: 50 * mib}, heap{allocated: 100 * mib, live: 5 * mib}, false, true},
		{"little has come", calm{last: 100 * mib, given: 93 * mib}, heap{allocated: 100 * mib, live: 5 * mib}, false, false},
		{"little, but for long", calm{last: 100 * mib, given: 97 * mib, calls: calmLong}, heap{allocated: 100 * mib, live: 5 * mib}, true, false},
		{"little beside what lives", calm{last: 1000 * mib, given: 900 * mib}, heap{allocated: 1000 * mib, live: 1000 * mib}, false, false},
		{"much beside what lives", calm{last: 1000 * mib, given: 850 * mib}, heap{allocated: 1000 * mib, live: 1000 * mib}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := c.from
			if got := at.due(c.then); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if got := at.due(c.then); got != c.next {
				t.Errorf("a moment later: got %v, want %v", got, c.next)
			}
		})
	}
}

// After a burst the memory goes back without another allocation.
func TestGarbageOfABurstIsGivenBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nobody else collects
	synctest.Test(t, func(t *testing.T) {
		runtime.GC()
		garbage := make([]byte, 4*heapFloor)
		for i := 0; i < len(garbage); i += 4096 {
			garbage[i] = 1
		}
		garbage = nil
		before := readHeap().objects
		stop := giveBackWhenCalm()
		time.Sleep(3 * calmEvery) // the bubble's time: the first look is still within the burst
		stop()
		if after := readHeap().objects; after+3*heapFloor > before {
			t.Errorf("got %d bytes of objects, before it was %d, want the garbage of %d collected", after, before, 4*heapFloor)
		}
	})
}
