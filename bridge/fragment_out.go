package bridge

import (
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/lane"
	"mangrove/bridge/pace"
	"mangrove/mqtt"
)

// whole is a DATA frame of one message that goes in fragments. It does not change. That of the durable lane stays with the
// neighbour until it is acknowledged, so that the next connection can go on where this one ended.
type whole struct {
	lane     byte
	name     uint64
	position uint64
	form     mqtt.LinkForm
	body     []byte
	born     time.Time
}

// cutting is how far a link has come with a whole.
type cutting struct {
	*whole
	next int // where the next fragment begins
	held int // how much of it is at the other side, as it says
}

// mayCut tells whether the other side understands fragments.
func (l *link) mayCut() bool {
	return l.theirs.Features.Has(frame.FeatureFragments) && l.theirs.MaxPart > 0
}

// maxAlone is what the items of a frame may have that has one message only.
func (l *link) maxAlone() int {
	if !l.mayCut() {
		return l.maxBytes()
	}
	return max(l.maxBytes(), min(l.theirs.MaxPart-frameRoom, l.b.cfg.MaxPartBytes))
}

// isLong tells whether a frame of one message, items, would be in the way of what is urgent, or is too long to go as one: the other
// side bounds what it unpacks.
func (l *link) isLong(data, items []byte, frameBytes int) bool {
	return l.mayCut() && (max(len(data), len(items)) > l.maxBytes() || frameBytes < min(pace.MaxFrame, l.maxBytes()/2) && len(data) > 2*frameBytes)
}

// cut begins to send a frame in fragments. Those of the durable lane are kept.
func (l *link) cut(which byte, position uint64, data []byte) {
	w := &whole{lane: which, name: max(l.b.cfg.Rand(1<<63), 1), position: position, form: l.form(), body: data, born: time.Now()}
	if which == frame.LaneDurable {
		l.n.whole.Store(w)
	}
	l.begin(w, 0)
}

// resume goes on with a frame that an earlier connection has begun, if e is the message in it.
func (l *link) resume(e *lane.Entry) bool {
	w := l.n.whole.Load()
	if w == nil || w.position != e.Pos || w.form != l.form() || !l.mayCut() {
		return false
	}
	from := 0
	if l.theirs.Part.Name == w.name {
		from = min(l.theirs.Part.Bytes, len(w.body)-1)
	}
	l.log.Debug("message goes on in fragments", "position", w.position, "from", from, "bytes", len(w.body))
	l.begin(w, from)
	return true
}

func (l *link) begin(w *whole, from int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutting = &cutting{whole: w, next: from, held: from}
}

// fragmentAnswer is what pace calls the answer to a fragment: above all positions.
func fragmentAnswer(held int) uint64 { return 1<<63 | uint64(held) }

// sendFragment sends one more, if the other side holds enough of those before.
func (l *link) sendFragment(window, frameBytes int) (sent bool, err error) {
	l.mu.Lock()
	c := l.cutting
	from, n := c.next, min(frameBytes, len(c.body)-c.next)
	if from > c.held && from+n-c.held > window {
		l.mu.Unlock()
		return false, nil
	}
	c.next += n
	last := c.next == len(c.body)
	if last {
		l.cutting = nil
	}
	l.mu.Unlock()
	f := frame.Fragment{Lane: c.lane, Name: c.name, Size: len(c.body), From: from, Age: time.Since(c.born), Bytes: c.body[from : from+n]}
	if last {
		l.n.sent.Add(1) // before the frame: its acknowledgement may be handled before it returns
	}
	err = l.sendOnLine(frame.KindFragment, f.Append(nil), fragmentAnswer(from+n))
	switch {
	case err != nil && last:
		l.n.sent.Add(^uint64(0))
	case last:
		l.b.metrics.sent.Add(1)
	}
	l.b.metrics.bytesOut.Add(n)
	return err == nil, err
}

// handleHeld lets more fragments go.
func (l *link) handleHeld(body []byte) error {
	f, err := frame.DecodeHeld(body)
	if err != nil {
		return err
	}
	l.mu.Lock()
	if c := l.cutting; c != nil && c.name == f.Name {
		c.held = max(c.held, min(f.Bytes, c.next))
	}
	l.mu.Unlock()
	l.pace.answered(fragmentAnswer(f.Bytes), f.Came)
	l.kick()
	return nil
}

// wholeArrived forgets a frame that the neighbour has acknowledged.
func (n *neighbour) wholeArrived(position uint64) {
	if w := n.whole.Load(); w != nil && w.position <= position {
		n.whole.CompareAndSwap(w, nil)
	}
}
