package bridge

import (
	"errors"
	"sync"
	"time"

	"mangrove/bridge/frame"
	"mangrove/mqtt"
)

// settling is a core's time after its start in which it takes no kept messages from edges, since it has found that it lacks the
// memory of a core: its own of before, or that of a core which is gone. Then edges for which those messages are may be attached
// nowhere yet, and no core knows what they want.
//
//	open ─ an edge tells of a stay that nobody here knows of, within SettleTime of the start ─→ shut ─ SettleTime since the start ─→ open
//
// An edge is told in HELLO to hold its messages, and with an ACK to send them. One that does not understand that, or
// that was there before, is refused, and comes again. Interest, retained messages' digests and QoS 0 pass all the time.
type settling struct {
	mu    sync.Mutex
	shut  bool
	timer *time.Timer
}

// errSettling is why messages are refused meanwhile.
var errSettling = errors.New("this core has lost its memory, or is new, and waits until edges have told what they want")

// lacksMemory tells whether the edge, which n is and which was known as was, was attached to a core whose memory nobody
// here has: it should be known, or it was at a core that no core knows.
func (n *neighbour) lacksMemory(was *record, h *frame.Hello) bool {
	b := n.b
	switch {
	case n.scope != mqtt.ScopeEdge || h.Last.Store == 0:
		return false
	case h.Last.Store == b.cfg.Store.ID():
		return was.attach < h.Last.Attach
	}
	for _, peer := range b.peersAndPasts() {
		if peer.snapshot().store == h.Last.Store {
			return false
		}
	}
	return true
}

// settle shuts the core for messages of edges until SettleTime after its start, if that is to come.
func (b *Bridge) settle(edge string) {
	left := b.cfg.SettleTime - b.cfg.Now().Sub(b.started)
	s := &b.settling
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || left <= 0 || b.ctx.Err() != nil {
		return
	}
	s.shut = true
	s.timer = time.AfterFunc(left, b.settled)
	b.cfg.Log.Warn("this core lacks the memory of one: messages of edges wait until they have told what they want",
		"edge", edge, "for", left.Round(time.Second))
}

// settled lets messages come.
func (b *Bridge) settled() {
	b.settling.mu.Lock()
	b.settling.shut = false
	b.settling.mu.Unlock()
	b.cfg.Log.Info("messages of edges are taken")
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.links {
		l.mu.Lock()
		l.ackDue = true // with the window
		l.mu.Unlock()
		l.kick()
	}
}

// isSettling tells that messages of edges are to wait.
func (b *Bridge) isSettling() bool {
	b.settling.mu.Lock()
	defer b.settling.mu.Unlock()
	return b.settling.shut
}

// stopSettling is part of Close, when ctx has ended.
func (b *Bridge) stopSettling() {
	b.settling.mu.Lock()
	defer b.settling.mu.Unlock()
	if b.settling.timer != nil {
		b.settling.timer.Stop()
	}
}
