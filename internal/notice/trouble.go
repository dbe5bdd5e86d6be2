// Package notice says when something that goes wrong again and again is worth another line in the log: the first time, at
// once for another reason, and else at doubling intervals. So an operator who reads the log at its default level learns of
// it, and a line that is down for a week, or a stranger who guesses passwords, does not fill the disk.
//
//	fails ─ Trouble.Note ─ true: WARN ─ … ─ works ─ Trouble.End ─ INFO
//
// Nothing here writes a log or has a goroutine.
package notice

import (
	"slices"
	"time"
)

// Trouble is one thing that goes wrong. The zero value is a thing that works. Not safe for concurrent use.
type Trouble struct {
	Since time.Time // when it began; zero = it works
	Times int       // so often since then

	told  []string  // reasons that were told
	last  time.Time // of Times
	next  time.Time // when to tell it again
	pause time.Duration
}

// The times between two lines about the same: firstPause after the first, twice as long after each, up to longestPause.
const (
	firstPause   = time.Minute
	longestPause = 24 * time.Hour
)

// maxReasons is how many reasons are told at once; further ones wait for the next interval.
const maxReasons = 8

// Note counts one more time and reports whether it is to be told now.
func (t *Trouble) Note(now time.Time, reason string) (tell bool) {
	t.Times++
	t.last = now
	first := t.Since.IsZero()
	due := first || !now.Before(t.next)
	news := len(t.told) < maxReasons && !slices.Contains(t.told, reason)
	if !due && !news {
		return false
	}
	switch {
	case first:
		t.Since, t.pause = now, firstPause
	case due:
		t.pause = min(2*t.pause, longestPause)
	}
	t.next = now.Add(t.pause)
	if news {
		t.told = append(t.told, reason)
	}
	return true
}

// End says that it works, and returns what was.
func (t *Trouble) End() (was Trouble) {
	was, *t = *t, Trouble{}
	return was
}
