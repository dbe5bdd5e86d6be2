package bridge

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/lane"
	"mangrove/mqtt"
)

// Frame implements mqtt.LinkEnd. Called by one goroutine, the connection's. It answers no error: a link that fails
// says goodbye, for which the connection must stay for a moment; what comes then is not looked at.
func (l *link) Frame(kind string, body []byte) error {
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.stageNow() == stageOver || l.isLeaving() {
		return nil
	}
	l.b.metrics.framesIn.Inc()
	l.came = time.Since(l.begun)
	if l.asked.Load() {
		l.signOfLife()
	}
	if err := l.handle(kind, body); err != nil {
		l.log.Debug("frame refused", "kind", kind, "error", err)
		l.fail(err, &frame.Goaway{Code: frame.GoawayProtocol, Text: err.Error()})
	}
	return nil
}

// handlers says who handles each kind of frame. A kind that is not here is of a later version: it is skipped.
func handlers(kind string) (handle func(*link, []byte) error, when turn) {
	switch kind {
	case frame.KindData:
		return (*link).handleData, afterHello
	case frame.KindFragment:
		return (*link).handleFragment, afterHello
	case frame.KindHeld:
		return (*link).handleHeld, afterHello
	case frame.KindAck:
		return (*link).handleAck, afterHello
	case frame.KindInterest:
		return (*link).handleInterest, afterHello
	case frame.KindSummary:
		return (*link).handleSummary, afterHello
	case frame.KindCores:
		return (*link).handleCores, afterHello
	case frame.KindRetained:
		return (*link).handleRetained, afterHello
	case frame.KindKeep:
		return (*link).handleKeep, afterHello
	case frame.KindRelay:
		return (*link).handleRelay, afterHello
	case frame.KindProbe:
		return (*link).handleProbe, afterHello
	case frame.KindLoad:
		return (*link).handleLoad, afterHello
	case frame.KindMove:
		return (*link).handleMove, afterHello
	case frame.KindPresence:
		return (*link).handlePresence, afterHello
	case frame.KindTwin:
		return (*link).handleTwin, afterHello
	case frame.KindHello:
		return (*link).handleHello, first
	case frame.KindGoaway:
		return (*link).handleGoaway, always
	}
	return nil, always
}

// turn is when a kind of frame may come.
type turn byte

const (
	always turn = iota
	first
	afterHello
)

func (l *link) handle(kind string, body []byte) error {
	handle, when := handlers(kind)
	if handle == nil {
		return nil
	}
	greeted := l.stageNow() != stageFresh
	if when == first && greeted || when == afterHello && !greeted {
		return fmt.Errorf("%s frame at the wrong time", kind)
	}
	return handle(l, body)
}

// handleGoaway ends the link as the other side wants it.
func (l *link) handleGoaway(body []byte) error {
	f, err := frame.DecodeGoaway(body)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.retry = f.Retry
	l.mu.Unlock()
	if f.Code == frame.GoawayNameInUse {
		l.refusedAsTwin(f.Text)
	}
	l.fail(fmt.Errorf("neighbour said goodbye: %s", f.Text), nil)
	return nil
}

// handleHello finds out who is there.
func (l *link) handleHello(body []byte) error {
	h, err := frame.DecodeHello(body)
	if err != nil {
		return err
	}
	scope := scopeOf(l.b.cfg.Role, roleOf(h.Role))
	switch {
	case scope == 0:
		return fmt.Errorf("%s %q and %s %q do not link", l.b.cfg.Role, l.b.cfg.Node, roleOf(h.Role), h.Name)
	case l.b.isSelf(&h):
		return errors.New("node is linked to itself")
	case l.expect != "" && l.expect != h.Name:
		return fmt.Errorf("node is %q, expected %q", h.Name, l.expect)
	case strings.HasPrefix(h.Name, reserved):
		return fmt.Errorf("node name %q begins with %s", h.Name, reserved)
	case h.Name == l.b.cfg.Node:
		l.refuseName(h)
		return nil
	}
	return l.greet(h, scope)
}

// isSelf tells whether h is this node's own. A copy of its folder has its store id.
func (b *Bridge) isSelf(h *frame.Hello) bool {
	if life := h.Life(); life != 0 {
		return life == b.cfg.Store.Life()
	}
	return h.Store == b.cfg.Store.ID()
}

// refuseName tells a node that its name belongs to another one that is connected.
func (l *link) refuseName(h frame.Hello) {
	err := fmt.Errorf("name %q is in use by another node", h.Name)
	l.fail(err, &frame.Goaway{Code: frame.GoawayNameInUse, Retry: l.b.cfg.Backoff.Max, Text: err.Error()})
}

func (l *link) handleCores(body []byte) error {
	cores, err := frame.DecodeCores(body)
	if err != nil {
		return err
	}
	if l.n.scope == mqtt.ScopeUplink {
		l.b.learnCores(cores)
	}
	return nil
}

func (l *link) handleInterest(body []byte) error {
	f, err := frame.DecodeInterest(body)
	if err != nil {
		return err
	}
	if l.n.scope == mqtt.ScopeUplink {
		return nil // what goes up is for our rules to say
	}
	complete, err := l.n.hear(f)
	if err != nil {
		return err
	}
	if complete && !l.settled {
		if l.n.scope == mqtt.ScopeEdge && l.b.leaves.Load() {
			l.fail(errClosing, l.b.farewell())
			return nil
		}
		l.settled = true
		if l.n.scope == mqtt.ScopeEdge {
			l.b.announceEdge(l.n, l.theirs)
		}
		if l.n.scope == mqtt.ScopePeer {
			l.b.claimPasts(l.n.name)
		}
	}
	return nil
}

func (l *link) handleAck(body []byte) error {
	f, err := frame.DecodeAck(body)
	if err != nil {
		return err
	}
	if f.Lane != frame.LaneDurable {
		return nil
	}
	l.mu.Lock()
	l.credit = lane.Credit{Messages: f.Window, Bytes: f.WindowBytes}
	l.mu.Unlock()
	l.pace.answered(f.Position, f.Came)
	l.n.queue.Ack(l, f.Position)
	l.n.wholeArrived(f.Position)
	if l.n.queue.Untrimmed() >= trimEvery {
		l.trim()
	}
	l.kick()
	return nil
}
