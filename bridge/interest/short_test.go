package interest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mangrove/bridge/frame"
)

// One prefix with too many filters does not make a node ask for everything; when they are gone it asks for what is wanted. The operator is
// told once each.
func TestAnnouncerShortens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 100
		a := NewAnnouncer(time.Second, most, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var sizes []Size
		go a.Run(ctx, func(s Size) { sizes = append(sizes, s) })
		held := new(Set)
		l := a.Follow(frame.Digest{}, func() {})
		a.Changed("news/+", 1, true)
		for i := range 3 * most {
			a.Changed(fmt.Sprint("dev/", i, "/cmd"), 1, true)
		}
		a.Changed("dev/#", 0, true)
		a.Changed("dev/#", 1, true)
		a.Changed("alarm/1", 2, true)
		synctest.Wait()
		told(l, held)
		wantHeld(t, held, map[string]byte{"news/+": 1, "dev/#": 2, "alarm/1": 2})
		if d, ok := l.Told(); !ok || d != held.Digest() {
			t.Errorf("got digest %v, %v, want %v", d, ok, held.Digest())
		}
		for i := range 3 * most {
			a.Changed(fmt.Sprint("dev/", i, "/cmd"), 0, false)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		told(l, held)
		wantHeld(t, held, map[string]byte{"news/+": 1, "dev/#": 1, "alarm/1": 2})
		if len(sizes) != 2 || sizes[0].Prefixes != 1 || sizes[0].Widest != "dev/#" || sizes[0].Filters <= most || sizes[1].Prefixes != 0 {
			t.Errorf("the operator was told %+v, want one prefix, dev/#, and its end", sizes)
		}
		cancel()
		synctest.Wait()
	})
}

// However filters come and go: who is told has all that is wanted, never more filters than the bound, and holds what the announcer thinks.
// It is told anew only when an eighth of the bound has come or gone.
func TestAnnouncerModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.IntRange(8, 64).Draw(rt, "most")
		all := genFilters(rt, "filters", 1, 200)
		a := NewAnnouncer(0, most, time.Now)
		held, wanted := new(Set), map[string]byte{}
		l := a.Follow(frame.Digest{}, func() {})
		snapshots, changes := 0, 0
		for range rapid.IntRange(1, 600).Draw(rt, "steps") {
			f := rapid.SampledFrom(all).Draw(rt, "filter")
			if _, has := wanted[f]; has && rapid.Bool().Draw(rt, "goes") {
				delete(wanted, f)
				a.Changed(f, 0, false)
				a.expire()
			} else {
				wanted[f] = byte(rapid.IntRange(0, 2).Draw(rt, "qos"))
				a.Changed(f, wanted[f], true)
			}
			changes++
			if l.first {
				snapshots++
			}
			told(l, held)
			if held.Len() > most {
				rt.Fatalf("%d filters announced, bound is %d", held.Len(), most)
			}
			if d, ok := l.Told(); !ok || d != held.Digest() {
				rt.Fatalf("held are %v of %v", held.Digest(), d)
			}
		}
		if len(wanted) <= most-most/8 && held.Len() != len(wanted) {
			rt.Fatalf("%d filters announced, %d are wanted, bound is %d", held.Len(), len(wanted), most)
		}
		for f, qos := range wanted {
			if by, ok := held.QoS(f); ok && by < qos || !ok && !Contains(held.filters, f) {
				rt.Fatalf("%s with QoS %d is not covered by %v", f, qos, held.filters)
			}
		}
		if snapshots > 2+changes/max(most/8, 1) {
			rt.Fatalf("told anew %d times in %d changes, bound is %d", snapshots, changes, most)
		}
	})
}

// A prefix is announced until the last filter goes that it stands for, those that came after it among them.
func TestPrefixGoesWithItsLastFilter(t *testing.T) {
	var all Set
	for i := range 10 {
		all.Put(fmt.Sprint("dev/", i), 1)
	}
	s := newShort(&all, 8)
	if s.add("dev/late", 1, true, 11) || s.add("dev/late", 2, false, 11) || !s.add("other", 1, true, 12) {
		t.Error("want what is below dev/# counted, and the other one announced")
	}
	for i := range 10 {
		if gone := s.remove(fmt.Sprint("dev/", i)); gone != "" {
			t.Fatalf("%s was withdrawn while dev/late is wanted", gone)
		}
	}
	if gone := s.remove("dev/late"); gone != "dev/#" || s.set.has("dev/#") {
		t.Errorf("got %q withdrawn, want dev/#", gone)
	}
	if gone := s.remove("other"); gone != "other" || s.set.Len() != 0 {
		t.Errorf("got %q withdrawn, %d left, want other and none", gone, s.set.Len())
	}
}
