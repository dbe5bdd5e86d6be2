package interest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/bridge/frame"
)

// told applies what a Follower pulls to a set, as the far side does.
func told(l *Follower, held *Set) (frames int) {
	for {
		f, ok := l.Pull(128 << 10)
		if !ok {
			return frames
		}
		frames++
		if f.First {
			*held = Set{}
		}
		for _, w := range f.Entries {
			if w.Gone {
				held.Remove(w.Filter)
			} else {
				held.Put(w.Filter, w.QoS)
			}
		}
	}
}

func wantHeld(t *testing.T, held *Set, want map[string]byte) {
	t.Helper()
	if fmt.Sprint(held.filters) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", held.filters, want)
	}
}

func TestAnnouncerLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAnnouncer(time.Minute, 100, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		go a.Run(ctx, func(Size) {})
		held := new(Set)
		l := a.Follow(frame.Digest{}, func() {})
		if told(l, held) != 1 {
			t.Error("want one empty frame that says nothing is missing")
		}
		a.Changed("a", 1, true)
		a.Changed("b", 1, true)
		a.Changed("$SYS/#", 1, true)
		told(l, held)
		wantHeld(t, held, map[string]byte{"a": 1, "b": 1})
		a.Changed("a", 0, false)
		a.Changed("b", 0, false)
		time.Sleep(59 * time.Second)
		a.Changed("b", 2, true)
		told(l, held)
		wantHeld(t, held, map[string]byte{"a": 1, "b": 2})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		told(l, held)
		wantHeld(t, held, map[string]byte{"b": 2})
		cancel()
		synctest.Wait()
	})
}

func TestAnnouncerSnapshotOnlyWhenNeeded(t *testing.T) {
	a := NewAnnouncer(time.Minute, 10_000, time.Now)
	for i := range 3 * frame.MaxEntries {
		a.Changed(fmt.Sprint("t/", i), byte(i%3), true)
	}
	held := new(Set)
	held.Put("stale", 1)
	l := a.Follow(held.Digest(), func() {})
	if got := told(l, held); got != 3 {
		t.Errorf("got %d frames, want 3 of %d filters", got, frame.MaxEntries)
	}
	if len(held.filters) != 3*frame.MaxEntries || held.Digest() != a.set.Digest() {
		t.Errorf("got %d filters, want %d", len(held.filters), 3*frame.MaxEntries)
	}
	l.Stop()
	l = a.Follow(held.Digest(), func() {})
	if f, ok := l.Pull(128 << 10); !ok || len(f.Entries) != 0 || f.First {
		t.Errorf("got %+v, want one empty frame", f)
	}
}

// Above the bound, where filters have nothing in common, everything is asked for, and below it again what is wanted.
func TestAnnouncerAboveItsBound(t *testing.T) {
	now := time.Unix(0, 0)
	a := NewAnnouncer(time.Minute, 3, func() time.Time { return now })
	held := new(Set)
	l := a.Follow(frame.Digest{}, func() {})
	for i := range 4 {
		a.Changed(fmt.Sprint(i), 1, true)
	}
	told(l, held)
	wantHeld(t, held, map[string]byte{"#": 2})
	a.Changed("5", 1, true)
	a.Changed("5", 1, false)
	a.Changed("0", 1, false)
	now = now.Add(time.Hour)
	a.expire()
	told(l, held)
	wantHeld(t, held, map[string]byte{"1": 1, "2": 1, "3": 1})
}

// Subscriptions that come and go fast do not pile up here for as long as they would linger, and nothing is missed meanwhile.
func TestAnnouncerBoundsWhatLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 100
		a := NewAnnouncer(time.Minute, most, time.Now)
		held := new(Set)
		l := a.Follow(frame.Digest{}, func() {})
		a.Changed("stays", 1, true)
		for i := range 10 * most {
			filter := fmt.Sprint("t/", i)
			a.Changed(filter, 1, true)
			a.Changed(filter, 0, false)
			if len(a.leaving) > most || len(a.due) > 2*most || len(a.set.filters) > most+1 {
				t.Fatalf("got %d leaving, %d due, %d announced, want %d that linger", len(a.leaving), len(a.due), len(a.set.filters), most)
			}
			if told(l, held); i > most {
				wantHeld(t, held, map[string]byte{"stays": 1, "t/#": 2})
			}
		}
		time.Sleep(2 * time.Minute) // the bubble's time
		a.expire()
		told(l, held)
		wantHeld(t, held, map[string]byte{"stays": 1})
	})
}

// Filters linger for their time beside one that comes and goes much more often.
func TestAnnouncerLingersBesideAFlap(t *testing.T) {
	const most = 100
	a := NewAnnouncer(time.Minute, most, time.Now)
	for i := range most - 1 {
		a.Changed(fmt.Sprint("t/", i), 1, true)
		a.Changed(fmt.Sprint("t/", i), 0, false)
	}
	for range 10 * most {
		a.Changed("flaps", 1, true)
		a.Changed("flaps", 0, false)
		if len(a.due) > 2*most {
			t.Fatalf("got %d due, want at most %d", len(a.due), 2*most)
		}
	}
	if len(a.set.filters) != most || len(a.leaving) != most {
		t.Errorf("got %d announced, %d leaving, want %d", len(a.set.filters), len(a.leaving), most)
	}
}

// A link that is slower than interest changes keeps no more changes than there may be filters.
func TestAnnouncerBoundsChanges(t *testing.T) {
	const most = 50
	a := NewAnnouncer(0, most, time.Now)
	held := new(Set)
	l := a.Follow(frame.Digest{}, func() {})
	told(l, held)
	a.Changed("stays", 1, true)
	for i := range 5*most + 10 {
		filter := fmt.Sprint("t/", i)
		a.Changed(filter, 1, true)
		a.Changed(filter, 0, false)
		a.expire()
		if len(l.changes) > most {
			t.Fatalf("got %d changes that wait, want at most %d", len(l.changes), most)
		}
	}
	told(l, held)
	wantHeld(t, held, map[string]byte{"stays": 1})
}
