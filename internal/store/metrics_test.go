package store

import (
	"testing"
	"time"
)

func TestLongestForgets(t *testing.T) {
	var l longest
	start := time.Unix(1_700_000_000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	l.add(at(0), 5*time.Second)
	l.add(at(30), time.Second)
	for _, c := range []struct {
		s    int
		want time.Duration
	}{{59, 5 * time.Second}, {61, 5 * time.Second}, {119, 5 * time.Second}, {121, 0}} {
		if got := l.get(at(c.s)); got != c.want {
			t.Errorf("after %d s: got %v, want %v", c.s, got, c.want)
		}
	}
	l.add(at(130), 2*time.Second)
	if got := l.get(at(600)); got != 0 {
		t.Errorf("after silence: got %v, want 0", got)
	}
}
