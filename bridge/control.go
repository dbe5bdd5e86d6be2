package bridge

import (
	"errors"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// control takes a control record that came from a neighbour. What it changes is written into batch.
func (b *Bridge) control(from *neighbour, body []byte, writes *batch.Batch) {
	c, err := frame.DecodeEdgeAt(body)
	if errors.Is(err, frame.ErrUnknownControl) {
		return // of a later version
	}
	if err != nil || from.scope != mqtt.ScopePeer {
		b.cfg.Log.Warn("control record is not valid", "neighbour", from.name, "error", err)
		return
	}
	if !c.Answer {
		b.noteEdge(from, c, writes)
	}
	if n := b.lookup(c.Edge); n != nil && n.scope == mqtt.ScopeEdge {
		n.heardOf(from, c, writes)
	}
}

// announceEdge tells all peers that an edge is attached here, unless they know: it was here before, and nowhere else
// since. The Router knows its interest by now, so each peer learns that first: run sends interest before messages.
func (b *Bridge) announceEdge(n *neighbour, h frame.Hello) {
	rec, writes := n.snapshot(), new(batch.Batch)
	if h.Last != (frame.Attachment{Store: b.cfg.Store.ID(), Attach: rec.settled}) || rec.settled == 0 {
		for _, peer := range b.withScope(mqtt.ScopePeer) {
			b.tellEdge(peer, n, writes)
		}
	}
	b.noteEdge(nil, frame.EdgeAt{Edge: n.name, Store: rec.store, Attach: rec.attach}, writes)
	n.update(writes, func(r *record) { r.settled = r.attach })
	b.cfg.Store.Commit(writes)
}

// tellEdges tells a peer that is new here of all edges that are attached.
func (b *Bridge) tellEdges(peer *neighbour, writes *batch.Batch) {
	for _, n := range b.withScope(mqtt.ScopeEdge) {
		if rec := n.snapshot(); rec.moved.IsZero() && rec.attach > 0 {
			b.tellEdge(peer, n, writes)
		}
	}
}

func (b *Bridge) tellEdge(peer, n *neighbour, writes *batch.Batch) {
	rec := n.snapshot()
	c := frame.EdgeAt{Edge: n.name, Store: rec.store, Attach: rec.attach, Lives: rec.lives}
	peer.queue.AppendControl(c.Append(nil), writes)
}
