package hlc

import "time"

// Clock gives Times. The zero Clock is ready. Not safe for concurrent use.
//
// Each call is told what the node's own clock shows, in Unix milliseconds, and a steady time of the same moment, of which only differences
// count.
type Clock struct {
	last   Time      // given last
	heard  int64     // what a neighbour's clock showed, in Unix milliseconds; 0 = none was heard
	at     time.Time // when that was
	follow bool      // heard is a core's, and this node an edge
}

// Hold tells the highest Time that was kept by an earlier run: a clock that is not set counts on from there.
func (c *Clock) Hold(t Time) { c.last = max(c.last, t) }

// Hear takes what a neighbour's Read showed. follow = the neighbour is the core that this edge goes by. It answers false when the
// neighbour's clock is so far ahead of the own one that it is not gone by.
func (c *Clock) Hear(milli, own int64, now time.Time, follow bool) bool {
	switch {
	case milli < Unset:
		return true // it knows nothing
	case milli > max(own, Unset)+farthest:
		return false
	case follow:
	case own >= Unset && milli > own+ahead:
		return false
	case milli <= c.Read(own, now):
		return true
	}
	c.heard, c.at, c.follow = milli, now, follow
	return true
}

// Read is the time of the fleet in Unix milliseconds, as far as this node knows it; below Unset when it knows nothing.
func (c *Clock) Read(own int64, now time.Time) int64 {
	if c.heard == 0 {
		return own
	}
	fleet := c.heard + now.Sub(c.at).Milliseconds()
	switch {
	case own < Unset:
		return fleet
	case own < fleet && (c.follow || fleet <= own+ahead):
		return fleet
	case c.follow && own > fleet+ahead:
		return fleet
	}
	return own
}

// Next is the Time of a change that is made now, of a topic that holds what was changed at held (0 = nothing). It is above held, and
// above all that the Clock gave before unless it was set back by more than Ahead.
func (c *Clock) Next(held Time, own int64, now time.Time) Time {
	read := c.Read(own, now)
	t := At(read)
	if behind := c.last.Milli() - read; c.last >= t && (behind <= ahead || read < Unset) {
		t = c.last + 1
	}
	c.last = max(t, First+1)
	return max(c.last, held+1)
}
