package hlc

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	today = Unset + 100*86400_000
	hour  = int64(3600_000)
	day   = 24 * hour
)

func TestNextRisesWithinAMillisecond(t *testing.T) {
	var c Clock
	now := time.Now()
	a, b := c.Next(0, today, now), c.Next(0, today, now)
	if a != At(today) || b != a+1 {
		t.Errorf("got %d and %d, want %d and one more", a, b, At(today))
	}
	if later := c.Next(0, today+1, now.Add(time.Millisecond)); later != At(today+1) {
		t.Errorf("a millisecond later: got %d, want %d", later, At(today+1))
	}
}

func TestReadOfWrongClocks(t *testing.T) {
	for _, e := range []struct {
		name       string
		own, heard int64
		follow     bool
		want       int64
		adopted    bool
	}{
		{"not set, hears a core", 1000, today, false, today, true},
		{"not set, hears one that is not set", 1000, 2000, true, 1000, true},
		{"an edge behind by days", today, today + 10*day, true, today + 10*day, true},
		{"an edge ahead a little", today, today - hour/2, true, today, true},
		{"an edge ahead by days", today, today - 10*day, true, today - 10*day, true},
		{"a core behind a little", today, today + hour/2, false, today + hour/2, true},
		{"a core hears one far ahead", today, today + 10*day, false, today, false},
		{"a core ahead", today, today - 10*day, false, today, true},
	} {
		var c Clock
		now := time.Now()
		if got := c.Hear(e.heard, e.own, now, e.follow); got != e.adopted {
			t.Errorf("%s: adopted %v, want %v", e.name, got, e.adopted)
		}
		if got := c.Read(e.own, now); got != e.want {
			t.Errorf("%s: got %d, want %d", e.name, got, e.want)
		}
	}
}

// What was heard goes on with the steady clock, and the own clock counts again once it is set.
func TestHeardTimeGoesOn(t *testing.T) {
	var c Clock
	now := time.Now()
	c.Hear(today, 1000, now, true)
	if got, want := c.Read(1000, now.Add(time.Hour)), today+hour; got != want {
		t.Errorf("an hour later: got %d, want %d", got, want)
	}
	if got, want := c.Read(today+hour+5, now.Add(time.Hour)), today+hour+5; got != want {
		t.Errorf("set meanwhile: got %d, want %d", got, want)
	}
}

// A clock that was far ahead and is set back does not stay ahead; the topics it stamped can be replaced all the same.
func TestSetBack(t *testing.T) {
	var c Clock
	now := time.Now()
	wrong := c.Next(0, today+10*day, now)
	if got := c.Next(0, today, now); got != At(today) {
		t.Errorf("another topic: got %d ms, want %d", got.Milli(), today)
	}
	if got := c.Next(wrong, today, now); got != wrong+1 {
		t.Errorf("the same topic: got %d, want %d", got, wrong+1)
	}
	little := c.Next(0, today+hour/2, now)
	if got := c.Next(0, today, now); got != little+1 {
		t.Errorf("set back a little: got %d, want %d", got, little+1)
	}
}

// A node without a clock that has heard nothing counts on from what it kept.
func TestCountsWithoutClock(t *testing.T) {
	var c Clock
	c.Hold(At(today))
	if got := c.Next(0, 5000, time.Now()); got != At(today)+1 {
		t.Errorf("got %d, want %d", got, At(today)+1)
	}
	var fresh Clock
	if got := fresh.Next(0, 0, time.Now()); got <= First {
		t.Errorf("a new node gives %d, want more than %d", got, First)
	}
}

// Whatever the clocks do, a change is above what its topic holds, and no clock that is right follows one that is far ahead.
func TestNextIsAboveWhatIsHeld(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var c Clock
		own, now, held := today, time.Now(), Time(0)
		for range rapid.IntRange(1, 50).Draw(rt, "steps") {
			step := rapid.Int64Range(0, 10_000).Draw(rt, "step")
			now, own = now.Add(time.Duration(step)*time.Millisecond), own+step
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				own = today + rapid.Int64Range(-20*day, 20*day).Draw(rt, "set to")
			case 1:
				c.Hear(own+rapid.Int64Range(-20*day, 20*day).Draw(rt, "heard"), own, now, false)
			default:
				next := c.Next(held, own, now)
				if next <= held {
					rt.Fatalf("got %d, held is %d", next, held)
				}
				if held = next; rapid.Bool().Draw(rt, "another topic") {
					held = 0
				}
			}
			if got := c.Read(own, now); got < own || got > own+ahead {
				rt.Fatalf("reads %d with the own clock at %d", got, own)
			}
		}
	})
}

// What a node sends to do harm is not gone by, and whatever version is taken can be replaced a moment later, everywhere.
func TestFarthest(t *testing.T) {
	var c Clock
	now := time.Now()
	if c.Hear(1<<62, today, now, true) || c.Read(today, now) != today {
		t.Errorf("a clock of %d ms was gone by: it reads %d", int64(1<<62), c.Read(today, now))
	}
	for _, own := range []int64{1000, today} {
		top := At(max(own, Unset)+farthest+1) - 1
		if !top.MayCome(own) || (top + 1).MayCome(own) || Time(1<<63-1).MayCome(own) || Time(0).MayCome(own) {
			t.Errorf("own clock at %d: the farthest is not %d", own, top)
		}
	}
	if top := At(today+farthest+1) - 1; !(top + 1).MayCome(today + 1) {
		t.Error("what is above the farthest does not come a millisecond later")
	}
}
