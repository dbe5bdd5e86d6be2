package bridge

import (
	"encoding/binary"
	"strings"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/bytesread"
	"mangrove/mqtt"
)

// stay is that an edge is attached to a peer, or was when it was heard of last there. What is queued for the peer may be for it.
//
//	there ─ heard of elsewhere, nothing is queued for the peer ─→ forgotten
//	  └──── heard of elsewhere, something is ─→ left ─ the peer has taken all, or handed on by the peer's past ─→ forgotten
type stay struct {
	store, attach uint64 // of the edge
	left          bool
}

// maxStays bounds the edges noted for one peer; of those beyond, nothing is known when the peer's disk is lost.
const maxStays = 100_000

// stayKey is where a stay lies in table Interest.
func stayKey(num uint64, edge string) []byte { return interestKey(num, stayPrefix+edge) }

// append writes store and attach (uvarint each) and a byte: 1 = left. No filter's value in table Interest is that long.
func (s stay) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, s.store)
	dst = binary.AppendUvarint(dst, s.attach)
	if s.left {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// loadStay takes a row of table Interest that is no filter.
func (n *neighbour) loadStay(key string, value []byte) {
	edge, is := strings.CutPrefix(key, stayPrefix)
	r := bytesread.New(value)
	s := stay{store: r.Uvarint(), attach: r.Uvarint(), left: r.Uint8() == 1}
	if is && r.Err() == nil {
		n.setStay(edge, s)
	}
}

func (n *neighbour) setStay(edge string, s stay) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stays == nil {
		n.stays = map[string]stay{}
	}
	if len(n.stays) < maxStays {
		n.stays[edge] = s
	}
}

// stayOf is what is known of an edge at the peer.
func (n *neighbour) stayOf(edge string) (s stay, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok = n.stays[edge]
	return s, ok
}

func (n *neighbour) dropStay(edge string, writes *batch.Batch) {
	n.mu.Lock()
	delete(n.stays, edge)
	n.mu.Unlock()
	writes.Delete(batch.Interest, stayKey(n.num(), edge))
}

// num is the neighbour's in the tables.
func (n *neighbour) num() uint64 { return n.rec.num } // never changes

// peersAndPasts lists the peers, and those that are gone.
func (b *Bridge) peersAndPasts() (found []*neighbour) {
	for _, n := range b.all() {
		if n.scope == mqtt.ScopePeer {
			found = append(found, n)
		}
	}
	return found
}

// noteEdge notes that an edge is attached to at, a peer, or here when that is nil, unless something later is known.
func (b *Bridge) noteEdge(at *neighbour, c frame.EdgeAt, writes *batch.Batch) {
	if n := b.lookup(c.Edge); n != nil && n.scope == mqtt.ScopeEdge {
		if rec := n.snapshot(); rec.moved.IsZero() && rec.store == c.Store && rec.attach > c.Attach {
			return
		}
	}
	peers := b.peersAndPasts()
	for _, n := range peers {
		if s, ok := n.stayOf(c.Edge); ok && s.store == c.Store && s.attach > c.Attach {
			return
		}
	}
	for _, n := range peers {
		if n != at {
			n.noteLeft(c.Edge, at, writes)
		}
	}
	if at != nil {
		s := stay{store: c.Store, attach: c.Attach}
		at.setStay(c.Edge, s)
		b.presence.heard(c.Edge, at)
		writes.Put(batch.Interest, stayKey(at.num(), c.Edge), s.append(nil))
	}
}

// noteLeft notes that an edge, should it have been at the peer, is elsewhere now: at another peer, or here when at is nil.
func (n *neighbour) noteLeft(edge string, at *neighbour, writes *batch.Batch) {
	s, ok := n.stayOf(edge)
	switch {
	case !ok:
		return
	case n.past.Load() == nil && n.Online() && n.queue.Empty():
		n.dropStay(edge, writes)
		return
	}
	if !s.left {
		s.left = true
		n.setStay(edge, s)
		writes.Put(batch.Interest, stayKey(n.num(), edge), s.append(nil))
	}
	if p := n.past.Load(); p != nil {
		p.claim(claim{edge: edge, at: at})
	}
}

// forgetLeft forgets the edges that left a peer which has taken all that was queued for it.
func (n *neighbour) forgetLeft() {
	writes := new(batch.Batch)
	for _, edge := range n.leftEdges() {
		n.dropStay(edge, writes)
	}
	n.b.cfg.Store.Commit(writes)
}

func (n *neighbour) leftEdges() (left []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for edge, s := range n.stays {
		if s.left {
			left = append(left, edge)
		}
	}
	return left
}

// leftClaims are those of the edges that left the peer, as far as it is known where they are.
func (n *neighbour) leftClaims() (claims []claim) {
	for _, edge := range n.leftEdges() {
		if at, ok := n.b.whereIs(edge); ok {
			claims = append(claims, claim{edge: edge, at: at})
		}
	}
	return claims
}

// stayCount is how many edges may still ask for what is queued for the peer.
func (n *neighbour) stayCount() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.stays)
}

// whereIs finds the peer that an edge is at, nil = here; ok is false when nobody knows.
func (b *Bridge) whereIs(edge string) (at *neighbour, ok bool) {
	if n := b.lookup(edge); n != nil && n.scope == mqtt.ScopeEdge && n.snapshot().moved.IsZero() {
		return nil, true
	}
	for _, n := range b.withScope(mqtt.ScopePeer) {
		if s, known := n.stayOf(edge); known && !s.left {
			return n, true
		}
	}
	return nil, false
}
