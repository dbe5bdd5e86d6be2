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

// Pace is what one end of a connection knows of the line. Times are of one clock that does not jump.
//
// One frame at a time is the probe. The window is scaled so that a probe takes delay longer than the quickest one did, at
// most doubled. A frame that was not held up by the window proves nothing, and makes it no larger.
//
// Not safe for concurrent use.
type Pace struct {
	window  int
	unacked int           // bytes under way at the latest look, and those sent since
	base    time.Duration // what the quickest probe took; 0 = there was none
	stopped bool          // the window has stopped the sender since the latest probe began
	rate    int           // bytes a second that the line carried when it was full; 0 = it was not
	probe   probe
}

// probe is a frame whose way is timed.
type probe struct {
	on      bool
	since   time.Time
	answer  uint64 // the position whose acknowledgement ends it; 0 = it ends when the kernel has acknowledged it
	ahead   int    // bytes under way when it was sent, its own among them
	after   int    // bytes sent after it
	limited bool   // it was as large as the window let it
}

// New knows nothing yet.
func New() Pace { return Pace{window: 2 * MinWindow} }

// Window is how many bytes may be under way.
func (p *Pace) Window() int { return p.window }

// Frame is where a frame ends; a single larger message has one to itself.
func (p *Pace) Frame() int { return min(p.window/2, MaxFrame) }

// Rate is how many bytes a second the line carries; 0 = not known, since it was never full.
func (p *Pace) Rate() int { return p.rate }

// Room tells whether one more frame may be sent, as far as is known without a look.
func (p *Pace) Room() bool {
	if p.unacked == 0 || p.unacked+p.Frame() <= p.window {
		return true
	}
	p.stopped = true
	return false
}

// Sent notes a frame of n bytes. answer is the position that the other node will acknowledge; 0 = none.
func (p *Pace) Sent(n int, answer uint64, now time.Time) {
	p.unacked += n
	if p.probe.on {
		p.probe.after += n
		return
	}
	p.probe = probe{on: true, since: now, answer: answer, ahead: p.unacked, limited: p.stopped || n >= p.Frame()/2}
	p.stopped = false
}

// Look notes how many bytes are under way. Where nobody can tell it is given 0.
func (p *Pace) Look(unacked int, now time.Time) {
	p.unacked = unacked
	if p.probe.on && p.probe.answer == 0 && unacked <= p.probe.after {
		p.took(now.Sub(p.probe.since))
	}
}

// Answered notes that the other node has acknowledged all up to position.
func (p *Pace) Answered(position uint64, now time.Time) {
	if p.probe.on && p.probe.answer != 0 && position >= p.probe.answer {
		p.took(now.Sub(p.probe.since))
	}
}

// took ends the probe.
func (p *Pace) took(d time.Duration) {
	limited := p.probe.limited || p.stopped
	p.probe.on = false
	if d < p.base || p.base == 0 {
		p.base = max(d, 1)
	}
	over := d - p.base
	if over <= delay && !limited {
		return
	}
	if over > delay && p.window == MinWindow {
		p.base = d // it is not we who fill the line
	}
	scaled := 2 * p.window
	if over > delay/2 {
		p.measured(int(float64(p.probe.ahead) / d.Seconds()))
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
