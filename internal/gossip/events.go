package gossip

import (
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// maxMembers bounds the pool. Above it, new nodes are not taken in; gossip is for cores and some
// tens of edges.
const maxMembers = 512

// events is what memberlist tells the pool. It calls with its own lock held: nothing here may block or
// call memberlist.
type events struct{ p *Pool }

// NotifyAlive refuses nodes that cannot be understood or are too many.
func (e events) NotifyAlive(n *memberlist.Node) error {
	if _, err := decodeAnnouncement(n.Meta); err != nil {
		e.p.count.refused.Inc()
		return err
	}
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if e.p.roster.entries[n.Name] == nil && n.Name != e.p.key && len(e.p.roster.entries) >= maxMembers {
		e.p.count.refused.Inc()
		return fmt.Errorf("the pool has %d members already", maxMembers)
	}
	return nil
}

func (e events) NotifyJoin(n *memberlist.Node)   { e.seen(n) }
func (e events) NotifyUpdate(n *memberlist.Node) { e.seen(n) }

func (e events) seen(n *memberlist.Node) {
	a, err := decodeAnnouncement(n.Meta)
	if n.Name == e.p.key || err != nil { // NotifyAlive has refused and counted what does not decode
		return
	}
	e.p.mu.Lock()
	e.p.roster.seen(n.Name, n.Address(), a)
	e.p.mu.Unlock()
	e.p.changed.Ring()
}

func (e events) NotifyLeave(n *memberlist.Node) {
	if n.Name == e.p.key {
		return
	}
	e.p.mu.Lock()
	e.p.roster.gone(n.Name, time.Now())
	alone := e.p.roster.alone()
	e.p.mu.Unlock()
	e.p.changed.Ring()
	if alone {
		e.p.hurry.Ring()
	}
}

// NodeMeta is what this node announces.
func (e events) NodeMeta(int) []byte { return *e.p.meta.Load() }

// User messages and state are not used.

func (events) NotifyMsg([]byte)                {}
func (events) GetBroadcasts(int, int) [][]byte { return nil }
func (events) LocalState(bool) []byte          { return nil }
func (events) MergeRemoteState([]byte, bool)   {}
