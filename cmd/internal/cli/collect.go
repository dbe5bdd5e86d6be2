package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// Go collects garbage whenever the heap has doubled since the last time. The heap of a node that serves a few clients is
// so small that at full load this is a hundred times a second, for a fifth of the CPU time. So the heap may
// always grow to heapFloor; above, Go's own rule holds, because more would cost memory where much is in use.
const (
	heapFloor = 16 << 20
	usualGOGC = 100
	goMinimum = 4 << 20 // the least heap at which Go collects, at GOGC 100; it grows with GOGC
	mostGOGC  = usualGOGC * heapFloor / goMinimum
)

// pacer sets GOGC anew after each collection, by what lives. It has no goroutine of its own: the runtime calls it.
type pacer struct {
	set     int
	stopped atomic.Bool
}

// paceCollections does so for the rest of the process's life, unless the operator has set GOGC.
func paceCollections() {
	if os.Getenv("GOGC") == "" {
		startPacer()
	}
}

func startPacer() *pacer {
	p := &pacer{set: mostGOGC}
	debug.SetGCPercent(p.set)
	p.await()
	return p
}

// await has collected called at the end of the next collection: that is when an object nobody holds is found.
func (p *pacer) await() {
	type sentinel struct{ *pacer }
	runtime.AddCleanup(&sentinel{p}, (*pacer).collected, p)
}

func (p *pacer) collected() {
	if p.stopped.Load() {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if gogc := gogcFor(live[0].Value.Uint64()); gogc != p.set {
		p.set = gogc
		debug.SetGCPercent(gogc)
	}
	p.await()
}

// gogcFor is the GOGC at which the next collection begins at heapFloor, or at twice what lives if that is more. It goes in
// steps, because a change stops the program for a moment.
func gogcFor(live uint64) int {
	const step = 25
	if 2*live >= heapFloor {
		return usualGOGC
	}
	gogc := min(mostGOGC, int((heapFloor-live)*100/max(live, 1)))
	return gogc / step * step
}

// giveBack returns to the system what starting took and needs no more: a node that found many sessions has read their
// records, and would keep twice as much memory as lives until it is busy. Small heaps are left alone.
func giveBack() {
	if readHeap().objects > heapFloor {
		debug.FreeOSMemory()
	}
}

// heap is what the runtime says of it, in bytes.
type heap struct {
	allocated uint64 // since the process began
	objects   uint64 // that live, or are not collected yet
	live      uint64 // at the last collection; more than that if it came amid a burst
}

func readHeap() heap {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return heap{allocated: s[0].Value.Uint64(), objects: s[1].Value.Uint64(), live: s[2].Value.Uint64()}
}

// calm finds the moments in which a node that was busy has little to do. Go collects when the heap has grown, so after a burst its
// garbage would stay until the next one.
type calm struct {
	last  uint64 // allocated at the last call
	given uint64 // allocated when memory was given back last
	calls int    // since then
}

const (
	calmEvery = time.Second
	calmBytes = 1 << 20 // allocated in calmEvery, at most
	calmLong  = 60      // calls after which a quarter is enough: what the store held until its checkpoint is garbage then
)

// due tells whether it is worth it to collect: little was allocated since the last call, and much since memory was given
// back, which is more beside more that lives: a collection costs as much as it finds alive.
func (c *calm) due(h heap) bool {
	recent := h.allocated - c.last
	c.last = h.allocated
	c.calls++
	enough := max(heapFloor/2, h.live/8)
	if c.calls >= calmLong {
		enough /= 4
	}
	if recent >= calmBytes || h.allocated-c.given < enough {
		return false
	}
	c.given, c.calls = h.allocated, 0
	return true
}

// giveBackWhenCalm returns garbage to the system in such moments, until stop is called, which waits for the goroutine.
func giveBackWhenCalm() (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() { // owned by the caller, ends with stop
		defer close(done)
		tick := time.NewTicker(calmEvery)
		defer tick.Stop()
		var c calm
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			if c.due(readHeap()) {
				debug.FreeOSMemory()
			}
		}
	}()
	return func() {
		close(ended)
		<-done
	}
}
