package retain

// cache is the list of entries whose message is in memory beside the store, newest first. Under
// Store.mu.
type cache struct {
	limit          int64
	bytes          int64
	newest, oldest *entry
}

// largeShare is the part of the limit above which one message is not cached, so that it does not push out
// many small ones.
const largeShare = 16

// add takes in e, which is stable and still has its message, and lets go of the oldest ones above the limit.
func (c *cache) add(e *entry) {
	if e == nil || e.cached || e.msg.Load() == nil {
		return
	}
	if e.size > c.limit/largeShare {
		e.msg.Store(nil)
		return
	}
	e.cached = true
	e.older = c.newest
	if c.newest != nil {
		c.newest.newer = e
	} else {
		c.oldest = e
	}
	c.newest = e
	c.bytes += e.size
	for c.bytes > c.limit && c.oldest != nil {
		last := c.oldest
		c.remove(last)
		last.msg.Store(nil)
	}
}

// fits reports whether e could be added without pushing out another.
func (c *cache) fits(e *entry) bool { return c.bytes+e.size <= c.limit && e.size <= c.limit/largeShare }

// remove takes e out of the list. Its message stays with whoever still wants it.
func (c *cache) remove(e *entry) {
	if !e.cached {
		return
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		c.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		c.oldest = e.newer
	}
	e.cached, e.newer, e.older = false, nil, nil
	c.bytes -= e.size
}
