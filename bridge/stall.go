package bridge

import (
	"fmt"
	"time"
)

// stall finds a message that a plain broker has got and does not acknowledge: without it one lost PUBACK would fill the window
// and stop the uplink for good. That the broker has got it is known by its answers to pings that left behind the message, so
// a slow line is not taken for a broker that forgets. The link is then made anew, and all that is not acknowledged is sent
// again. A message that this does not help waits twice as long each time.
//
//	first on the way ─ the same at the next look: ping ─ three answers: the broker has it ─ time is up: stalled
//
// It outlives the connections of an uplink; its goroutine alone uses it.
type stall struct {
	pos   uint64    // the first message on the way; 0 = there is none
	since time.Time // it is the first
	pongs uint32    // answers to pings by then
	asked uint32    // answers when the last ping left
	got   time.Time // since when the broker is known to have it

	stuck uint64 // position that was stalled last
	times int    // so often
}

// looks is how often a message is looked at before it is stalled; at most maxDoublings times its wait is doubled.
const (
	looks        = 6
	maxDoublings = 5
)

// pongsBehind is how many answers show that the broker has read what left before the first look: answers to earlier pings,
// of which two may be under way, are not told apart.
const pongsBehind = 3

// begin forgets what was of the last connection.
func (s *stall) begin() { *s = stall{stuck: s.stuck, times: s.times} }

// look is called every patience/looks with the position of the first message that is on the way and how many pings
// were answered. ping asks for one more of them.
func (s *stall) look(now time.Time, first uint64, pongs uint32, patience time.Duration) (ping, stalled bool) {
	if first != s.pos {
		s.pos, s.since, s.pongs, s.got = first, now, pongs, time.Time{}
		s.asked = pongs - 1
		return false, false
	}
	if first == 0 {
		return false, false
	}
	if s.got.IsZero() && pongs-s.pongs >= pongsBehind {
		s.got = now
	}
	if s.got.IsZero() {
		ping = pongs != s.asked
		s.asked = pongs
		return ping, false
	}
	step := patience / looks
	if first == s.stuck {
		patience <<= min(s.times, maxDoublings)
	}
	if now.Sub(s.since) < patience-step/2 || now.Sub(s.got) < step/2 { // looks come a little early or late
		return false, false
	}
	if first != s.stuck {
		s.stuck, s.times = first, 0
	}
	s.times++
	return false, true
}

// watch looks at the first message on the way; an error ends the link.
func (l *remoteLink) watch() error {
	l.mu.Lock()
	var first remoteFlight
	if len(l.flights) > 0 {
		first = l.flights[0]
	}
	l.mu.Unlock()
	s := &l.b.uplink.stall
	ping, stalled := s.look(l.b.cfg.Now(), first.pos, l.conn.Pongs(), l.b.cfg.AckPatience)
	switch {
	case stalled:
		err := fmt.Errorf("broker answers pings, but did not acknowledge a message of topic %q in %v", first.topic,
			l.b.cfg.Now().Sub(s.since).Round(time.Second))
		l.log.Warn("all that is not acknowledged is sent again", "error", err, "times", s.times)
		return err
	case ping:
		return l.conn.Ping()
	}
	return nil
}
