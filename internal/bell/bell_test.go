package bell

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func heard(b Bell) bool {
	select {
	case <-b:
		return true
	default:
		return false
	}
}

func TestRingIsKeptUntilItIsHeard(t *testing.T) {
	b := New()
	if heard(b) {
		t.Fatal("a new bell rings")
	}
	b.Ring()
	if !heard(b) {
		t.Fatal("the ring is lost")
	}
	if heard(b) {
		t.Fatal("one ring was heard twice")
	}
}

func TestRingsThatNobodyHeardAreOne(t *testing.T) {
	b := New()
	for range 3 {
		b.Ring() // must not block
	}
	if !heard(b) || heard(b) {
		t.Fatal("three rings before a look are not one")
	}
}

func TestRingWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, woken := New(), false
		go func() { <-b; woken = true }()
		synctest.Wait()
		if woken {
			t.Fatal("woken without a ring")
		}
		b.Ring()
		synctest.Wait()
		if !woken {
			t.Fatal("not woken")
		}
	})
}

func TestNilBellIsHeardByNobody(t *testing.T) {
	var b Bell
	b.Ring()
	if heard(b) {
		t.Fatal("a nil bell rings")
	}
}

// What was changed before a Ring is seen, however many ring at once.
func TestNoChangeIsMissed(t *testing.T) {
	const ringers, each = 8, 1000
	b := New()
	var changed atomic.Int64
	var all sync.WaitGroup
	for range ringers {
		all.Go(func() {
			for range each {
				changed.Add(1)
				b.Ring()
			}
		})
	}
	for changed.Load() < ringers*each { // a lost ring hangs here
		<-b
	}
	all.Wait()
}

func TestRingAllocatesNothing(t *testing.T) {
	b := New()
	if n := testing.AllocsPerRun(100, b.Ring); n != 0 {
		t.Errorf("Ring: got %v allocations, want 0", n)
	}
}
