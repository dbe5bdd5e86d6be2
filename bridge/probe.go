package bridge

import (
	"errors"
	"time"

	"mangrove/bridge/frame"
	"mangrove/mqtt/transport"
)

// asking is a link's question for a sign of life. A connection whose far side lost its power stays open until the keep-alive ends
// it; who wants to take its place asks sooner.
//
//	idle ─ ask → asked ─┬ bytes come ───────────────────→ idle, then called
//	                    └ none within Config.Handshake → the link fails
//
// On a thin line the question stands behind what was sent before it, and the answer too: any byte of an answer is one, and the time
// counts from when the far side's kernel has acknowledged a part of what was under way. A question alone, which it acknowledges at once,
// says nothing of the node.
//
// The link's mu guards it.
type asking struct {
	timer  *time.Timer     // nil = idle
	then   []func()        // what waits for a sign of life
	before transport.Moved // at the latest look
	since  time.Time       // something of ours arrived, or the question was put
}

// asks is how often within Config.Handshake it is looked whether something moves.
const asks = 4

var errSilent = errors.New("no sign of life")

// ask has then called when the far side shows a sign of life, by the goroutine that reads from it. False: it is a node of a
// version that does not answer.
func (l *link) ask(then func()) bool {
	m, _ := l.carrier.Moved() // takes locks of the connection: not under mu
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaving {
		return true // it makes room anyway
	}
	if l.stage == stageUp && l.theirs.Life() == 0 {
		return false
	}
	l.asking.then = append(l.asking.then, then)
	if l.asking.timer == nil {
		l.asking.before, l.asking.since = m, time.Now()
		l.asking.timer = time.AfterFunc(l.b.cfg.Handshake/asks, l.listen)
		l.noteLocked(frame.KindProbe, frame.Probe{}.Append(nil))
		l.asked.Store(true)
	}
	return true
}

// listen looks whether something has moved since the look before. The timer calls it.
func (l *link) listen() {
	m, ok := l.carrier.Moved()
	l.mu.Lock()
	a := &l.asking
	if a.timer == nil {
		l.mu.Unlock()
		return
	}
	before, now := a.before, time.Now()
	a.before = m
	came := ok && m.Received > before.Received
	if ok && m.Acked != before.Acked && before.Unacked > 0 {
		a.since = now
	}
	switch {
	case came:
	case now.Sub(a.since) >= l.b.cfg.Handshake:
		l.failLocked(errSilent, nil)
	default:
		a.timer.Reset(l.b.cfg.Handshake / asks)
	}
	l.mu.Unlock()
	if came {
		l.signOfLife()
	}
}

// signOfLife is called for each frame that comes while one is waited for.
func (l *link) signOfLife() {
	l.mu.Lock()
	then := l.asking.then
	l.stopAskingLocked()
	l.mu.Unlock()
	for _, fn := range then {
		fn()
	}
}

func (l *link) stopAskingLocked() {
	if l.asking.timer != nil {
		l.asking.timer.Stop()
	}
	l.asking = asking{}
	l.asked.Store(false)
}

func (l *link) handleProbe(body []byte) error {
	f, err := frame.DecodeProbe(body)
	if err == nil && !f.Answer {
		l.note(frame.KindProbe, frame.Probe{Answer: true}.Append(nil))
	}
	return err
}

// note is a small frame that run sends as soon as the link is up, before messages.
type note struct {
	kind string
	body []byte
}

// maxNotes bounds the notes that wait to be sent; those beyond it are left out: what they say is said again.
const maxNotes = 16

func (l *link) note(kind string, body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteLocked(kind, body)
}

func (l *link) noteLocked(kind string, body []byte) {
	if len(l.notes) < maxNotes {
		l.notes = append(l.notes, note{kind, body})
		l.kick()
	}
}
