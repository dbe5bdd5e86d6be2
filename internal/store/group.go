package store

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"mangrove/internal/batch"
)

// group is the batches of one transaction, collapsed:
//
//	batches ─add→ points, ranges, bodies ─collapse→ one write per key, one sum per body
//
// It belongs to the writer, which reuses it.
type group struct {
	batches []*batch.Batch
	size    int // of the batches, in bytes, when they were taken

	seq    int // position of an operation in the group
	points []point
	ranges []span
	bodies []bodyChange
}

// point is a put or a delete of one key.
type point struct {
	table batch.Table
	seq   int
	key   []byte
	value batch.Value // nil = delete
}

// span is a delete of from <= key < to.
type span struct {
	table    batch.Table
	seq      int
	from, to []byte // to nil = end of table
}

// bodyChange is what happens to the reference count of a body.
type bodyChange struct {
	id    uint64
	seq   int
	delta int
	body  []byte // nil when no batch brought it
	at    int    // where body is in the log record
}

func (s *span) covers(p *point) bool {
	return s.table == p.table && bytes.Compare(s.from, p.key) <= 0 && (s.to == nil || bytes.Compare(p.key, s.to) < 0)
}

// add takes in operations. base is where in a log record they start; it matters to records only.
func (g *group) add(ops []byte, base int) error {
	for rest := ops; len(rest) > 0; {
		var o batch.Op
		var err error
		if o, rest, err = batch.Next(rest); err != nil {
			return fmt.Errorf("apply batch: %w", err)
		}
		g.addOp(o, base+len(ops)-len(rest)-len(o.Body))
	}
	return nil
}

// addOp takes in one operation; at is where its body is.
func (g *group) addOp(o batch.Op, at int) {
	g.seq++
	switch o.Kind {
	case batch.OpPut, batch.OpDelete:
		g.points = append(g.points, point{o.Table, g.seq, o.Key, o.Value})
	case batch.OpRange, batch.OpRangeEnd:
		g.ranges = append(g.ranges, span{o.Table, g.seq, o.Key, o.Value})
	case batch.OpBody:
		body := o.Body
		if body == nil {
			body = []byte{}
		}
		g.bodies = append(g.bodies, bodyChange{id: o.ID, seq: g.seq, delta: o.Refs, body: body, at: at})
	case batch.OpRelease:
		g.bodies = append(g.bodies, bodyChange{id: o.ID, seq: g.seq, delta: o.Refs})
	}
}

// collapse leaves the last write of each key, sorted by table and key. A write that a later range
// removes goes; ranges are therefore to be applied before points.
func (g *group) collapse() {
	slices.SortFunc(g.points, func(a, b point) int {
		if c := cmp.Compare(a.table, b.table); c != 0 {
			return c
		}
		if c := bytes.Compare(a.key, b.key); c != 0 {
			return c
		}
		return cmp.Compare(a.seq, b.seq)
	})
	kept := g.points[:0]
	for i := range g.points {
		p := &g.points[i]
		if i+1 < len(g.points) && g.points[i+1].table == p.table && bytes.Equal(g.points[i+1].key, p.key) {
			continue
		}
		if !slices.ContainsFunc(g.ranges, func(s span) bool { return s.seq > p.seq && s.covers(p) }) {
			kept = append(kept, *p)
		}
	}
	clear(g.points[len(kept):])
	g.points = kept
}

// sumBodies leaves one change per body, sorted by id. It is called when the references of replaced and
// new records have been added.
func (g *group) sumBodies() {
	slices.SortFunc(g.bodies, func(a, b bodyChange) int {
		if c := cmp.Compare(a.id, b.id); c != 0 {
			return c
		}
		return cmp.Compare(a.seq, b.seq)
	})
	sums := g.bodies[:0]
	for _, c := range g.bodies {
		if n := len(sums); n > 0 && sums[n-1].id == c.id {
			last := &sums[n-1]
			last.delta += c.delta
			if len(last.body) == 0 && c.body != nil { // in a log of before an empty one stands for a body that was there already
				last.body, last.at = c.body, c.at
			}
			continue
		}
		sums = append(sums, c)
	}
	clear(g.bodies[len(sums):])
	g.bodies = sums
}

// refer notes that a record refers to a body now (+1), or does no longer (-1).
func (g *group) refer(id uint64, delta int) {
	g.seq++
	g.bodies = append(g.bodies, bodyChange{id: id, seq: g.seq, delta: delta})
}

// reset forgets everything but the memory, unless that has become too much.
func (g *group) reset() {
	clear(g.batches)
	g.batches, g.size = g.batches[:0], 0
	g.clear()
}

// maxKeptElements bounds the memory that is kept for the next group.
const maxKeptElements = 64 << 10

// clear forgets the operations.
func (g *group) clear() {
	g.seq = 0
	if cap(g.points)+cap(g.bodies)+cap(g.ranges) > maxKeptElements {
		g.points, g.ranges, g.bodies = nil, nil, nil
		return
	}
	clear(g.points)
	clear(g.ranges)
	clear(g.bodies)
	g.points, g.ranges, g.bodies = g.points[:0], g.ranges[:0], g.bodies[:0]
}
