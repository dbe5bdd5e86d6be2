package bridge

import (
	"errors"
	"time"

	"mangrove/bridge/frame"
)

// asking is a link's question for a sign of life. A connection whose far side lost its power stays open until the keep-alive ends
// it; who wants to take its place asks sooner.
//
//	idle ─ ask → asked ─┬ any frame comes ──────────→ idle, then called
//	                    └ none within Config.Handshake → the link fails
//
// The link's mu guards it.
type asking struct {
	timer *time.Timer // nil = idle
	then  []func()    // what waits for a sign of life
}

var errSilent = errors.New("no sign of life")

// ask has then called when the far side shows a sign of life, by the goroutine that reads from it. False: it is a node of a
// version that does not answer.
func (l *link) ask(then func()) bool {
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
		l.asking.timer = time.AfterFunc(l.b.cfg.Handshake, func() { l.fail(errSilent, nil) })
		l.noteLocked(frame.KindProbe, frame.Probe{}.Append(nil))
		l.asked.Store(true)
	}
	return true
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
