package retain

// changes are the Sets of one topic that are not stable yet.
//
//	            Set                    Committed(nil)
//	(nothing) ───────→ pending: a, b ─────────────────→ durable = a, pending: b ─ … → (nothing)
//	                                   Committed(err)
//	                                  ─────────────────→ pending: b
//
// Match sees the last of pending, or what is durable when there is none. Batches of different
// publishers may become stable in another order than that of their Sets: the one stable last is then what
// the disk has, and what is seen in the end.
type changes struct {
	durable *entry // what the store has; nil = nothing
	pending []*entry
}

// seen is what Match finds.
func (c *changes) seen() *entry {
	e := c.durable
	if n := len(c.pending); n > 0 {
		e = c.pending[n-1]
	}
	if e == nil || e.gone {
		return nil
	}
	return e
}

func (c *changes) settle(e *entry, err error) {
	for i, p := range c.pending {
		if p == e {
			c.pending = append(c.pending[:i], c.pending[i+1:]...)
			break
		}
	}
	if err == nil {
		c.durable = e
	}
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
		n.open = &changes{durable: n.visible}
	}
	n.open.pending = append(n.open.pending, e)
	s.showLocked(n, n.open.seen())
}

// settle ends what proposeLocked began: e is stable, or was refused.
func (s *Store) settle(e *entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.root.find(e.topic)
	if n == nil || n.open == nil {
		panic("BUG: a retained message was settled twice")
	}
	n.open.settle(e, err)
	s.showLocked(n, n.open.seen())
	if len(n.open.pending) == 0 {
		n.open = nil
		s.cache.add(n.visible)
	}
	n.prune()
	if err != nil {
		s.count.failed.Inc()
	}
}

// showLocked makes e (nil = nothing) what Match finds at n.
func (s *Store) showLocked(n *node, e *entry) {
	old := n.visible
	if old == e {
		return
	}
	if old != nil {
		s.messages--
		s.bytes -= old.size
		s.expiry.Remove(old)
		s.cache.remove(old)
	}
	if e != nil {
		s.messages++
		s.bytes += e.size
		if e.expires.At != 0 {
			s.expiry.Set(e, e.expires.At)
		}
	}
	n.visible = e
}
