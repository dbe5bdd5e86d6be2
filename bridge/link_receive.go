package bridge

import (
	"errors"
	"fmt"

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
	if err := l.handle(kind, body); err != nil {
		l.log.Debug("frame refused", "kind", kind, "error", err)
		l.fail(err, &goawayFrame{code: goawayProtocol, text: err.Error()})
	}
	return nil
}

func (l *link) handle(kind string, body []byte) error {
	if kind == kindGoaway {
		return l.handleGoaway(body)
	}
	if first := l.stageNow() == stageFresh; first != (kind == kindHello) && isKnown(kind) {
		return fmt.Errorf("%s frame at the wrong time", kind)
	}
	switch kind {
	case kindHello:
		return l.handleHello(body)
	case kindCores:
		return l.handleCores(body)
	case kindInterest:
		return l.handleInterest(body)
	case kindData:
		return l.handleData(body)
	case kindAck:
		return l.handleAck(body)
	}
	return nil // of a later version
}

func isKnown(kind string) bool {
	switch kind {
	case kindHello, kindCores, kindInterest, kindData, kindAck:
		return true
	}
	return false
}

// handleGoaway ends the link as the other side wants it.
func (l *link) handleGoaway(body []byte) error {
	f, err := decodeGoaway(body)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.retry = f.retry
	l.mu.Unlock()
	l.fail(fmt.Errorf("neighbour said goodbye: %s", f.text), nil)
	return nil
}

// handleHello finds out who is there.
func (l *link) handleHello(body []byte) error {
	h, err := decodeHello(body)
	if err != nil {
		return err
	}
	scope := scopeOf(l.b.cfg.Role, h.role)
	switch {
	case scope == 0:
		return fmt.Errorf("%s %q and %s %q do not link", l.b.cfg.Role, l.b.cfg.Node, h.role, h.name)
	case h.store == l.b.cfg.Store.ID():
		return errors.New("node is linked to itself")
	case l.expect != "" && l.expect != h.name:
		return fmt.Errorf("node is %q, expected %q", h.name, l.expect)
	case h.name == l.b.cfg.Node:
		l.refuseName(h)
		return nil
	}
	return l.greet(h, scope)
}

// refuseName tells a node that its name belongs to another one that is connected.
func (l *link) refuseName(h hello) {
	l.log.Warn("another node has this name already", "node", h.name, "store", h.store)
	err := fmt.Errorf("name %q is in use by another node", h.name)
	l.fail(err, &goawayFrame{code: goawayNameInUse, retry: l.b.cfg.Backoff.Max, text: err.Error()})
}

func (l *link) handleCores(body []byte) error {
	cores, err := decodeCores(body)
	if err != nil {
		return err
	}
	if l.n.scope == mqtt.ScopeUplink {
		l.b.learnCores(cores)
	}
	return nil
}

func (l *link) handleInterest(body []byte) error {
	f, err := decodeInterest(body)
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
		l.settled = true
		if l.n.scope == mqtt.ScopeEdge {
			l.b.announceEdge(l.n, l.theirs)
		}
	}
	return nil
}

func (l *link) handleAck(body []byte) error {
	f, err := decodeAck(body)
	if err != nil {
		return err
	}
	if f.lane != laneDurable {
		return nil
	}
	l.mu.Lock()
	l.credit = credit{messages: f.window, bytes: f.windowBytes}
	l.mu.Unlock()
	l.n.queue.ack(l, f.position)
	if l.n.queue.untrimmed() >= trimEvery {
		l.trim()
	}
	l.kick()
	return nil
}
