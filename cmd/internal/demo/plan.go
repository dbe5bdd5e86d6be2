package demo

import "time"

// plan is when which fault happens, counted from the start of the fleet.
type plan struct {
	cutEdge, killEdge int // indices
	cutAt, cutFor     time.Duration
	killAt, downFor   time.Duration
}

// newPlan scales the faults to the duration: at 30 s, a cut of 5 s and an edge that is down for 2 s.
func newPlan(edges int, duration time.Duration) plan {
	return plan{
		cutEdge: 1 % edges, killEdge: 2 % edges,
		cutAt: duration / 5, cutFor: clamp(duration/6, 500*time.Millisecond, 20*time.Second),
		killAt: duration * 11 / 20, downFor: clamp(duration/15, 300*time.Millisecond, 5*time.Second),
	}
}

func clamp(d, lo, hi time.Duration) time.Duration {
	return min(max(d, lo), hi).Round(100 * time.Millisecond)
}
