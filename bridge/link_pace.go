package bridge

import (
	"sync"
	"time"

	"mangrove/bridge/pace"
)

// linePace is what a link, or a remote link, knows of its line. Its run sends and looks; what is acknowledged comes from
// elsewhere.
type linePace struct {
	unacked func() int // bytes under way, as the kernel knows; 0 where it cannot tell

	again time.Duration // run only: when to look at a full line again; 0 = it is not full

	mu   sync.Mutex
	pace pace.Pace
}

// The waits between looks at a line that is full: doubled until it has room.
const (
	minLook = time.Millisecond
	maxLook = 250 * time.Millisecond
)

func newLinePace(unacked func() int) *linePace { return &linePace{unacked: unacked, pace: pace.New()} }

// room tells whether the line has room for one more frame. Where it has none, run calls it again after p.again.
func (p *linePace) room() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.pace.Room() {
		p.pace.Look(p.unacked(), time.Now())
		if !p.pace.Room() {
			p.again = min(max(2*p.again, minLook), maxLook)
			return false
		}
	}
	p.again = 0
	return true
}

// bounds are how many bytes may be under way, and where a frame ends.
func (p *linePace) bounds() (window, frame int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pace.Window(), p.pace.Frame()
}

// rate is pace.Pace.Rate.
func (p *linePace) rate() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pace.Rate()
}

// sent is pace.Pace.Sent. It is called before the frame is sent: the answer may be handled before sending has returned.
func (p *linePace) sent(n int, answer uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pace.Sent(n, answer, time.Now())
}

// answered is pace.Pace.Answered.
func (p *linePace) answered(position uint64, came time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pace.Answered(position, came, time.Now())
}
