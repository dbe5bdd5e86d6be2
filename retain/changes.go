package retain

import (
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// changes are the Sets of one topic that are not stable yet.
//
//	            Set                    Committed(nil)
//	(nothing) ───────→ pending: a, b ─────────────────→ durable = a, pending: b ─ … → (nothing)
//	                                   Committed(err)
//	                                  ─────────────────→ pending: b
//
// Match sees the newest of them all. Batches of different publishers may become stable in another order than that of their Sets: what is
// newer and was stable before is written again then, since the disk has the older one.
type changes struct {
	durable *entry // message or clearing that the store has, or is about to have again; nil = nothing
	pending []*entry
}

// seen is what is known of the topic now.
func (c *changes) seen() *entry {
	e := c.durable
	for _, p := range c.pending {
		if p.version().Compare(e.version()) >= 0 {
			e = p
		}
	}
	return e
}

// settle takes e out, which is stable or was refused. again is what is to be written again, nil = nothing.
func (c *changes) settle(e *entry, err error) (again *entry) {
	for i, p := range c.pending {
		if p == e {
			c.pending = append(c.pending[:i], c.pending[i+1:]...)
			break
		}
	}
	switch {
	case err != nil:
		return nil
	case c.durable.version().Compare(e.version()) > 0:
		return c.durable
	}
	c.durable = e
	return nil
}

// change is the waiter of one Set.
type change struct {
	s *Store
	e *entry
}

// Committed implements batch.Waiter.
func (c *change) Committed(_ uint64, err error) { c.s.settle(c.e, err) }

// proposeLocked makes e the visible entry of its topic until it is settled.
func (s *Store) proposeLocked(e *entry) {
	n := s.root.grow(e.topic)
	if n.open == nil {
		n.open = &changes{durable: n.latest()}
	}
	n.open.pending = append(n.open.pending, e)
	s.showLocked(n, n.open.seen())
}

// settle ends what proposeLocked began: e is stable, or was refused.
func (s *Store) settle(e *entry, err error) {
	if again := s.settled(e, err); again != nil {
		s.cfg.Store.Commit(again) // without the lock: it may tell at once
	}
}

// settled is settle but for what is to be written again.
func (s *Store) settled(e *entry, err error) (again *batch.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.root.find(e.topic)
	if n == nil || n.open == nil {
		panic("BUG: a retained message was settled twice")
	}
	if newer := n.open.settle(e, err); newer != nil {
		again = s.rewriteLocked(newer)
	}
	s.showLocked(n, n.open.seen())
	if len(n.open.pending) == 0 {
		n.open = nil
		s.cache.add(n.visible)
	}
	n.prune()
	if err != nil {
		s.count.failed.Inc()
	}
	return again
}

// rewriteLocked writes e again, which is stable no more: an older one came after it.
func (s *Store) rewriteLocked(e *entry) *batch.Batch {
	var body []byte
	if m := e.msg.Load(); m != nil { // always, unless e is gone: it was not settled until now
		body = mqtt.AppendMessage(nil, m)
	}
	b := new(batch.Batch)
	s.proposeLocked(e)
	s.writeLocked(e, body, b)
	return b
}

// showLocked makes e, a message, a clearing or nil, what is known at n.
func (s *Store) showLocked(n *node, e *entry) {
	old := n.latest()
	if old == e {
		return
	}
	s.changes.Add(1)
	if old != nil {
		old.replaced.Store(true)
	}
	if e != nil {
		e.replaced.Store(false)
	}
	switch {
	case old == nil:
	case old.gone:
		s.clearings.Remove(old)
	default:
		s.messages--
		s.bytes -= old.size
		s.expiry.Remove(old)
		s.cache.remove(old)
	}
	n.visible, n.cleared = nil, nil
	switch {
	case e == nil:
	case e.gone:
		n.cleared = e
		s.clearings.Set(e, e.expires.At)
	default:
		n.visible = e
		s.messages++
		s.bytes += e.size
		if e.expires.At != 0 {
			s.expiry.Set(e, e.expires.At)
		}
	}
}
