package notice

import (
	"fmt"
	"testing"
	"time"
)

func TestTroubleIsToldAtDoublingIntervals(t *testing.T) {
	var tr Trouble
	began := time.Unix(1000, 0)
	var told []time.Duration
	for at := time.Duration(0); at <= 16*time.Minute; at += 10 * time.Second {
		if tr.Note(began.Add(at), "refused") {
			told = append(told, at)
		}
	}
	if got, want := fmt.Sprint(told), "[0s 1m0s 3m0s 7m0s 15m0s]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if was := tr.End(); !was.Since.Equal(began) || was.Times != 97 {
		t.Errorf("got %+v, want 97 times since the beginning", was)
	}
	if !tr.Note(began.Add(17*time.Minute), "refused") {
		t.Error("a new trouble is not told")
	}
}

func TestEachReasonIsToldAtOnce(t *testing.T) {
	var tr Trouble
	now := time.Unix(1000, 0)
	told := 0
	for i := range 3 * maxReasons {
		for range 3 {
			now = now.Add(time.Millisecond)
			if tr.Note(now, fmt.Sprint("reason ", i)) {
				told++
			}
		}
	}
	if told != maxReasons {
		t.Errorf("got %d lines, want one for each of the first %d reasons", told, maxReasons)
	}
}

// Names that strangers choose do not make the book grow, nor the log.
func TestBookIsBounded(t *testing.T) {
	var b Book
	now := time.Unix(1000, 0)
	told := 0
	for i := range 10_000 {
		if _, tell := b.Note(now, fmt.Sprint("name ", i), "refused"); tell {
			told++
		}
	}
	if len(b.byName) > maxNames+1 || told > maxNames+1 {
		t.Errorf("got %d names and %d lines, want at most %d", len(b.byName), told, maxNames+1)
	}
	now = now.Add(quiet)
	if _, tell := b.Note(now, "another", "refused"); !tell || len(b.byName) != 1 {
		t.Errorf("after a quiet time: got told %v and %d names, want the old ones forgotten", tell, len(b.byName))
	}
	if times, tell := b.Note(now, "another", "refused"); tell || times != 2 {
		t.Errorf("got told %v, %d times, want it counted", tell, times)
	}
}
