// Package bell wakes a loop: "something changed, look again". It has no goroutine and no state
// but the ring that nobody has heard yet.
//
//	who changes something            the loop that looks after it
//	    change it ── b.Ring() ─────▶ <-b ── look at all there is
//
// Change first, ring then. The loop does it the other way round: it receives, and looks then.
package bell

// Bell carries no message, only that there is something to look at. Any number of goroutines may
// ring; one loop receives, as a rule in a select.
//
// A ring is never lost: whoever receives after a Ring, or was about to, gets it, so what was
// changed before the Ring is seen by the look that follows. Rings that nobody received in between
// are one. A look that finds nothing is therefore normal: an earlier one has seen it already.
//
// A nil Bell is one that nobody hears: Ring does nothing, receiving blocks for ever.
type Bell chan struct{}

// New returns a bell that has not been rung.
func New() Bell { return make(Bell, 1) }

// Ring makes the next receive, or the one that waits, succeed. It never blocks.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default: // it rings already
	}
}
