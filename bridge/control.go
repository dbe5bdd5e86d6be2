package bridge

import (
	"encoding/binary"
	"errors"

	"mangrove/internal/store"
	"mangrove/mqtt"
)

// edgeAt is a control record: it travels in a peer's durable lane among the messages, so that it is
// neither lost nor overtakes them.
//
//	type    1, = 1
//	edge    uvarint length, bytes
//	store   uvarint
//	attach  uvarint, the edge's count of attachments
//
// It says: the edge is attached to the sender, and the sender's interest covers the edge's. A core that kept messages
// for that edge until now hands them over.
type edgeAt struct {
	edge   string
	store  uint64
	attach uint64
}

const controlEdgeAt = 1

func (c *edgeAt) append(dst []byte) []byte {
	dst = append(dst, controlEdgeAt)
	dst = appendString(dst, c.edge)
	dst = binary.AppendUvarint(dst, c.store)
	return binary.AppendUvarint(dst, c.attach)
}

var errUnknownControl = errors.New("control record of an unknown type")

func decodeEdgeAt(b []byte) (c edgeAt, err error) {
	r := reader{b: b}
	if r.byte() != controlEdgeAt && r.err == nil {
		return c, errUnknownControl
	}
	c = edgeAt{edge: r.string(maxName), store: r.uvarint(), attach: r.uvarint()}
	return c, r.done("control")
}

// control takes a control record that came from a neighbour. What it changes is written into batch.
func (b *Bridge) control(from *Neighbour, body []byte, batch *store.Batch) {
	c, err := decodeEdgeAt(body)
	if errors.Is(err, errUnknownControl) {
		return // of a later version
	}
	if err != nil || from.scope != mqtt.ScopePeer {
		b.cfg.Log.Warn("control record is not valid", "neighbour", from.name, "error", err)
		return
	}
	if n := b.lookup(c.edge); n != nil && n.scope == mqtt.ScopeEdge {
		n.movedTo(from.name, c, batch)
	}
}

// announceEdge tells all peers that an edge is attached here, unless they know: it was here before, and nowhere else
// since. The Router knows its interest by now, so each peer learns that first: run sends interest before messages.
func (b *Bridge) announceEdge(n *Neighbour, h hello) {
	rec, batch := n.snapshot(), new(store.Batch)
	if h.last != (attachment{store: b.cfg.Store.ID(), attach: rec.settled}) || rec.settled == 0 {
		for _, peer := range b.withScope(mqtt.ScopePeer) {
			b.tellEdge(peer, n, batch)
		}
	}
	n.update(batch, func(r *record) { r.settled = h.attach })
	b.cfg.Store.Commit(batch)
}

// tellEdges tells a peer that is new here of all edges that are attached.
func (b *Bridge) tellEdges(peer *Neighbour, batch *store.Batch) {
	for _, n := range b.withScope(mqtt.ScopeEdge) {
		if rec := n.snapshot(); rec.moved.IsZero() && rec.attach > 0 {
			b.tellEdge(peer, n, batch)
		}
	}
}

func (b *Bridge) tellEdge(peer, n *Neighbour, batch *store.Batch) {
	rec := n.snapshot()
	c := edgeAt{edge: n.name, store: rec.store, attach: rec.attach}
	peer.queue.append(entry{kind: itemControl, control: c.append(nil)}, batch, nil)
}
