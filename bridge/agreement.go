package bridge

import (
	"math/bits"
	"sync/atomic"

	"mangrove/bridge/frame"
	"mangrove/mqtt"
)

// agreement is a link's part in checking that the far side holds the interest that it was told.
//
//	Follower ─ INTEREST, INTEREST, … SUMMARY, each CheckInterest ─→ far side: the same? ─ no: SUMMARY asks ─→ all of it again
//
// A SUMMARY comes behind the changes that it sums up, so no change on its way looks like a difference.
type agreement struct {
	due   atomic.Bool // a SUMMARY is to be sent
	again atomic.Bool // the far side asked for all
	ask   atomic.Bool // the far side is to be asked for all

	differed int // SUMMARY frames in a row that told of another interest than is held; reading only
}

// theirHeld is the interest of ours that the far side holds for sure. One of the time before SUMMARY forgets, after it dialled and
// said so, what it held when our store is new to it.
func (l *link) theirHeld() frame.Digest {
	if !l.dialled && !l.theirs.Features.Has(frame.FeatureSummary) {
		return frame.Digest{}
	}
	return l.theirs.Held
}

// agree sends what the agreement on interest needs, if anything. Part of run.
func (l *link) agree() (sent bool, err error) {
	a := &l.agreement
	if a.ask.Swap(false) {
		return true, l.frame(frame.KindSummary, frame.Summary{Ask: true}.Append(nil))
	}
	if l.follower == nil {
		return false, nil
	}
	if a.again.Swap(false) {
		l.follower.Again()
		return true, nil
	}
	if !a.due.Swap(false) || !l.theirs.Features.Has(frame.FeatureSummary) {
		return false, nil
	}
	told, ok := l.follower.Told()
	if !ok {
		return false, nil // there is talk anyway; next time
	}
	return true, l.frame(frame.KindSummary, frame.Summary{Told: told}.Append(nil))
}

// handleSummary compares what the far side told with what is held of it.
func (l *link) handleSummary(body []byte) error {
	f, err := frame.DecodeSummary(body)
	if err != nil {
		return err
	}
	a := &l.agreement
	switch {
	case f.Ask:
		a.again.Store(true)
		l.kick()
	case l.n.scope == mqtt.ScopeUplink: // what goes up is for our rules to say
	case f.Told == l.n.held():
		a.differed = 0
	default:
		l.differ(f.Told)
	}
	return nil
}

// differ asks for all of the far side's interest, the more rarely the longer that does not help.
func (l *link) differ(told frame.Digest) {
	a := &l.agreement
	if a.differed++; bits.OnesCount(uint(a.differed)) != 1 {
		return
	}
	l.b.metrics.disagreed.Inc()
	l.log.Warn("interest differs from what the neighbour has told; it is asked for all of it",
		"held", l.n.held().Count, "told", told.Count, "times", a.differed)
	a.ask.Store(true)
	l.kick()
}
