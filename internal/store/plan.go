package store

import (
	"bytes"

	"mangrove/internal/batch"
)

// plan is what a group does to the state, worked out before the group is logged, so that what changes nothing is not logged:
//
//	group ─collapse─▶ plan.make(state) ─▶ plan.encode: the log record ─▶ stable ─▶ plan.install: into the delta
//
// A record that is replayed becomes a group, and takes the same way. What comes out depends on the record and the state alone.
type plan struct {
	ranges []span   // those that remove something
	gone   []change // what the ranges remove
	points []change
	bodies []bodyPlan
	done   applied
}

// change is a new value of one key, in stored forms.
type change struct {
	table batch.Table
	key   []byte
	value []byte // nil = removed
	below bool
	old   int    // bytes of the value before, 0 = none
	p     *point // nil for what a range removes
}

// bodyPlan is a change of the references to one body.
type bodyPlan struct {
	*bodyChange
	before, after int
	state         kept // as it will be
	size          int
	write         bool // its bytes are logged
}

// applied counts what a group changed.
type applied struct {
	writes        int // records and bodies put or removed
	bytes         int // of keys and values put
	bodiesWritten int
	bodiesFreed   int
}

// make works out g on the state v. Ranges come first, then points, then the bodies whose references all of these changed.
func (p *plan) make(g *group, v *view) error {
	g.collapse()
	for i := range g.ranges {
		if err := p.addRange(g, v, i); err != nil {
			return err
		}
	}
	for i := range g.points {
		if err := p.addPoint(g, v, &g.points[i]); err != nil {
			return err
		}
	}
	g.sumBodies()
	for i := range g.bodies {
		if err := p.addBody(v, &g.bodies[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) addRange(g *group, v *view, i int) error {
	s := &g.ranges[i]
	from, to := storedKey(s.from), storedBound(s.to)
	before := len(p.gone)
	err := v.scan(s.table, from, to, func(key, value []byte, below bool) bool {
		if coveredBy(g.ranges[:i], s.table, key) {
			return true // an earlier range has it
		}
		if id, ok := loadedValue(key, value).Ref(); ok {
			g.refer(id, -1)
		}
		p.gone = append(p.gone, change{table: s.table, key: bytes.Clone(key), below: below, old: len(value)})
		return true
	})
	if n := len(p.gone) - before; n > 0 {
		p.ranges = append(p.ranges, *s)
		p.done.writes += n
	}
	return err
}

// storedBound is storedKey for the end of a range.
func storedBound(to []byte) []byte {
	if to == nil {
		return nil
	}
	return storedKey(to)
}

// coveredBy tells whether one of the ranges removes a stored key.
func coveredBy(ranges []span, t batch.Table, key []byte) bool {
	for i := range ranges {
		s := &ranges[i]
		if s.table == t && bytes.Compare(storedKey(s.from), key) <= 0 && (s.to == nil || bytes.Compare(key, storedKey(s.to)) < 0) {
			return true
		}
	}
	return false
}

func (p *plan) addPoint(g *group, v *view, pt *point) error {
	c := change{table: pt.table, key: storedKey(pt.key), p: pt}
	old, below, err := v.lookup(pt.table, c.key)
	if err != nil {
		return err
	}
	if old != nil && coveredBy(p.ranges, pt.table, c.key) {
		old = nil // the range has taken its reference
	}
	if pt.value != nil {
		c.value = storedValue(pt.key, pt.value)
	}
	if old == nil && c.value == nil || old != nil && c.value != nil && bytes.Equal(old, c.value) {
		return nil
	}
	if id, ok := loadedValue(c.key, old).Ref(); ok {
		g.refer(id, -1)
	}
	if id, ok := pt.value.Ref(); ok {
		g.refer(id, +1)
	}
	c.below, c.old = below, len(old)
	p.points = append(p.points, c)
	p.done.writes++
	if c.value != nil {
		p.done.bytes += len(c.key) + len(pt.value)
	}
	return nil
}

func (p *plan) addBody(v *view, c *bodyChange) error {
	if c.delta == 0 {
		return nil
	}
	now, size, err := v.kept(c.id)
	if err != nil {
		return err
	}
	b := bodyPlan{bodyChange: c, before: now.refs, after: now.refs + c.delta, size: size}
	// A log of before may give back more than it took, or take what it did not bring.
	if b.before == 0 && c.body == nil {
		return nil
	}
	b.after = max(0, b.after)
	b.state = now
	b.state.refs = b.after
	switch {
	case b.before == 0 && b.after > 0:
		b.write, b.size = true, len(c.body)
		p.done.bodiesWritten++
		p.done.bytes += 8 + len(c.body)
	case b.before > 0 && b.after == 0:
		b.state.place = place{}
		p.done.bodiesFreed++
	}
	if b.before != b.after {
		p.done.writes++
	}
	p.bodies = append(p.bodies, b)
	return nil
}

// encode appends the operations to dst, and notes where in it the bodies are.
func (p *plan) encode(dst []byte) []byte {
	for i := range p.ranges {
		dst = batch.AppendRange(dst, p.ranges[i].table, p.ranges[i].from, p.ranges[i].to)
	}
	for i := range p.points {
		pt := p.points[i].p
		if pt.value == nil {
			dst = batch.AppendDelete(dst, pt.table, pt.key)
		} else {
			dst = batch.AppendPut(dst, pt.table, pt.key, pt.value)
		}
	}
	for i := range p.bodies {
		if b := &p.bodies[i]; b.write {
			dst = batch.AppendBody(dst, b.id, b.body)
			b.at = len(dst) - len(b.body)
		}
	}
	return dst
}

// install makes the changes part of d. index is the log record they are in.
func (p *plan) install(d *delta, index uint64) {
	for i := range p.gone {
		c := &p.gone[i]
		d.setRecord(c.table, c.key, nil, c.below, c.old)
	}
	for i := range p.points {
		c := &p.points[i]
		d.setRecord(c.table, c.key, c.value, c.below, c.old)
	}
	for i := range p.bodies {
		b := &p.bodies[i]
		if b.before == b.after {
			continue
		}
		if b.write {
			b.state.place = place{index, uint32(b.at), uint32(len(b.body)), sumOf(b.body)}
		}
		d.setBody(b.state, b.size, b.before)
	}
	d.last = index
}

// reset forgets everything but the memory, unless that has become too much.
func (p *plan) reset() {
	if cap(p.gone)+cap(p.points)+cap(p.bodies) > maxKeptElements {
		*p = plan{}
		return
	}
	clear(p.ranges)
	clear(p.gone)
	clear(p.points)
	clear(p.bodies)
	p.ranges, p.gone, p.points, p.bodies, p.done = p.ranges[:0], p.gone[:0], p.points[:0], p.bodies[:0], applied{}
}
