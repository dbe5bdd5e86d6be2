package pace

import "time"

// Bounds of the window, in bytes.
const (
	MinWindow = 512       // what is under way on the thinnest line; one message always may be
	MaxWindow = 4 << 20   // what is under way on a line that shows no bound
	MaxFrame  = 256 << 10 // where a frame ends on any line
)

// delay is how long a full window may take beyond what a frame takes on an idle line. It is the second that the documents
// speak of.
const delay = time.Second

// The clocks of two nodes drift apart, by no more than a tick in driftTicks. What is known of the way of a frame is that old at
// most: then the line is let run empty once.
const (
	driftTicks = 5000
	wayAge     = 10 * time.Minute
)

// tellsFor is for how long an answer that told when its frame came lets frames that get none go untimed.
const tellsFor = 10 * time.Second

// Pace is what one end of a connection knows of the line. Times are of one clock that does not jump.
//
// One frame at a time is the probe. The window is scaled so that a probe takes delay longer than the quickest one did, at
// most doubled. A frame that was not held up by the window proves nothing, and makes it no larger.
//
// An answer waits behind what the other node sends itself, which is a second of the line too. That is not our doing: where the answer
// tells when the frame came, by the other node's clock, only how long the frame was on its way counts. How far the clocks are
// apart is not known, and need not be: the quickest way is the measure.
//
// Not safe for concurrent use.
type Pace struct {
	window  int
	unacked int           // bytes under way at the latest look, and those sent since
	base    time.Duration // what the quickest probe took; 0 = there was none
	stopped bool          // the window has stopped the sender since the latest probe began
	rate    int           // bytes a second that the line carried when it was full; 0 = it was not
	probe   probe

	// The way of a frame is when it came, by the other node's clock, less the time from ways to when it was sent.
	ways   time.Time     // zero = no way is known
	way    time.Duration // the shortest
	wayAt  time.Time     // of a frame that was sent then
	told   time.Time     // when an answer told when its frame came
	drains bool          // the next frame waits until nothing is under way
}

// probe is a frame whose way is timed.
type probe struct {
	on      bool
	since   time.Time
	answer  uint64 // the position whose acknowledgement ends it; 0 = it ends when the kernel has acknowledged it
	ahead   int    // bytes under way when it was sent, its own among them
	after   int    // bytes sent after it
	limited bool   // it was as large as the window let it
	lone    bool   // the line was let run empty for it, so that it says nothing of the window
}

// New knows nothing yet.
func New() Pace { return Pace{window: 2 * MinWindow} }

// Window is how many bytes may be under way.
func (p *Pace) Window() int { return p.window }

// Frame is where a frame ends; a single larger message has one to itself.
func (p *Pace) Frame() int {
	if p.drains {
		return MinWindow / 2
	}
	return min(p.window/2, MaxFrame)
}

// Rate is how many bytes a second the line carries; 0 = not known, since it was never full.
func (p *Pace) Rate() int { return p.rate }

// Room tells whether one more frame may be sent, as far as is known without a look.
func (p *Pace) Room() bool {
	if p.unacked == 0 || !p.drains && p.unacked+p.Frame() <= p.window {
		return true
	}
	p.stopped = true
	return false
}

// Sent notes a frame of n bytes. answer is the position that the other node will acknowledge; 0 = none.
func (p *Pace) Sent(n int, answer uint64, now time.Time) {
	p.unacked += n
	alone := p.unacked == n
	if p.probe.on && !(p.drains && alone) {
		p.probe.after += n
		return
	}
	if answer == 0 && now.Sub(p.told) < tellsFor && !p.told.IsZero() {
		return
	}
	p.probe = probe{on: true, since: now, answer: answer, ahead: p.unacked, limited: p.stopped || n >= p.Frame()/2, lone: p.drains && alone}
	p.stopped = false
	p.drains = p.drains && !alone
}

// Look notes how many bytes are under way. Where nobody can tell it is given 0.
func (p *Pace) Look(unacked int, now time.Time) {
	p.unacked = unacked
	if p.probe.on && p.probe.answer == 0 && unacked <= p.probe.after {
		p.took(now.Sub(p.probe.since), false)
	}
}

// Answered notes that the other node has acknowledged all up to position. came is when that came, by the other node's clock,
// which begins anywhere; 0 = it does not tell.
func (p *Pace) Answered(position uint64, came time.Duration, now time.Time) {
	if !p.probe.on || p.probe.answer == 0 || position < p.probe.answer {
		return
	}
	d := now.Sub(p.probe.since)
	if came == 0 {
		p.took(d, false)
		return
	}
	p.told = now
	p.drains = p.drains || (p.stopped || p.probe.limited) && !p.wayAt.IsZero() && now.Sub(p.wayAt) > wayAge
	p.base = shorter(p.base, d)
	p.took(min(d, p.base+p.longer(came)), true)
}

// longer is how much longer the probe was on its way than the shortest one.
func (p *Pace) longer(came time.Duration) time.Duration {
	since := p.probe.since
	if p.ways.IsZero() {
		p.ways = since
		p.way, p.wayAt = came, since
	}
	way := came - since.Sub(p.ways)
	shortest := p.way + since.Sub(p.wayAt)/driftTicks
	switch {
	case way < shortest, p.window == MinWindow && way-shortest > delay:
		p.way, p.wayAt = way, since
	case p.probe.lone:
		p.way, p.wayAt = shortest, since
	}
	return max(way-shortest, 0)
}

// shorter is d when it is shorter than base, or base is not known.
func shorter(base, d time.Duration) time.Duration {
	if d < base || base == 0 {
		return max(d, 1)
	}
	return base
}

// took ends the probe. way = d is that of its way alone, and where nothing waits as long as the quickest one.
func (p *Pace) took(d time.Duration, way bool) {
	limited := p.probe.limited || p.stopped
	p.probe.on = false
	p.base = shorter(p.base, d)
	over := d - p.base
	if over <= delay && !limited || p.probe.lone {
		return
	}
	if over > delay && p.window == MinWindow {
		p.base = d // it is not we who fill the line
	}
	scaled := 2 * p.window
	if over > delay/2 {
		p.measured(int(float64(p.probe.ahead) / d.Seconds()))
	}
	if way && over < delay && p.probe.ahead < p.window { // a full window would have taken longer
		over = min(delay, time.Duration(float64(over)*float64(p.window)/float64(p.probe.ahead)))
	}
	if over > delay/2 {
		scaled = int(float64(p.window) * float64(delay) / float64(over))
	}
	p.window = min(max(scaled, MinWindow), MaxWindow)
}

// measured notes what a full line carries: the mean of that and of what was known, since one measurement scatters.
func (p *Pace) measured(rate int) {
	if p.rate > 0 {
		rate = (p.rate + rate) / 2
	}
	p.rate = rate
}
