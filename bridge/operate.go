package bridge

import (
	"errors"
	"time"

	"mangrove/bridge/lane"
	"mangrove/mqtt"
)

// Lost is what an operator's wish has cost, in messages that were acknowledged to their publishers.
type Lost struct{ Messages, Bytes int }

// Errors of Purge and Forget.
var (
	ErrNoLink    = errors.New("no such link")
	ErrLinkUp    = errors.New("the link is up")
	ErrUplink    = errors.New("an uplink is part of the configuration")
	ErrMember    = errors.New("the node is a member of the pool")
	ErrUnsettled = errors.New("messages for it are being written: try again")
)

// forgetPatience is how long Forget waits for what is being written.
const forgetPatience = 5 * time.Second

// Purge drops what waits for a neighbour, counted as removed by the operator. Messages on their way to it, and those that
// come meanwhile, are not touched; the link may be up. name is as in LinkStatus; "uplink" is an edge's.
func (b *Bridge) Purge(name string) (Lost, error) {
	n := b.named(name)
	if n == nil {
		return Lost{}, ErrNoLink
	}
	messages, bytes, err := n.queue.Purge()
	b.cfg.Log.Warn("queue purged by the operator", "neighbour", n.title(), "messages", messages, "bytes", bytes)
	return Lost{messages, bytes}, err
}

// Forget forgets a neighbour that is away, with what it wants and what it is owed, counted as removed by the operator. When
// it comes again it is met anew: it is told what is retained, and gets what is published from then on.
func (b *Bridge) Forget(name string) (Lost, error) {
	n := b.named(name)
	switch {
	case n == nil:
		return Lost{}, ErrNoLink
	case n.scope == mqtt.ScopeUplink:
		return Lost{}, ErrUplink
	case n.Online():
		return Lost{}, ErrLinkUp
	case n.scope == mqtt.ScopePeer && b.listed(name):
		return Lost{}, ErrMember
	}
	for end := time.Now().Add(forgetPatience); time.Now().Before(end); {
		if lost, gone := n.remove(lane.DropRemoved); gone {
			return lost, nil
		}
		if n.Online() {
			return Lost{}, ErrLinkUp
		}
		if !b.pause(b.ctx, 0, 0, nil) {
			return Lost{}, errClosing
		}
	}
	return Lost{}, ErrUnsettled
}

// named finds the neighbour that an operator names.
func (b *Bridge) named(name string) *neighbour {
	if b.uplink != nil {
		if s := b.uplink.n.status(); name == "uplink" || name == s.Name && name != "" {
			return b.uplink.n
		}
	}
	return b.lookup(name)
}
