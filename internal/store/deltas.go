package store

import (
	"sync"
	"sync/atomic"
)

// deltas are the changes that the database does not have yet. The writer alone replaces and changes active; the checkpointer alone drops frozen.
type deltas struct {
	generation atomic.Uint64 // rises with each freeze

	mu      sync.Mutex
	active  *delta
	frozen  *delta // nil when no checkpoint is under way
	shared  *layer // active as it is, for readers; nil after a change
	dropped []*pin // of deltas that the database has, oldest first: their log records go when nobody reads them
}

// snapshot returns a view without a transaction, and what release is to be given.
func (d *deltas) snapshot(s *Store) (v *view, generation uint64, pins [2]*pin) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shared == nil {
		d.shared = d.active.share()
	}
	v = &view{s: s, layers: [2]*layer{d.shared, nil}}
	d.active.pin.readers++
	pins[0] = d.active.pin
	if d.frozen != nil {
		v.layers[1] = &d.frozen.layer
		d.frozen.pin.readers++
		pins[1] = d.frozen.pin
	}
	return v, d.generation.Load(), pins
}

func (d *deltas) release(pins [2]*pin) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range pins {
		if p != nil {
			p.readers--
		}
	}
}

// writersView is what the writer plans on: the live layer, which it alone changes.
func (d *deltas) writersView(s *Store) *view {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := &view{s: s, layers: [2]*layer{&d.active.layer, nil}}
	if d.frozen != nil {
		v.layers[1] = &d.frozen.layer
	}
	return v
}

// change runs fn on the active delta while nobody takes a snapshot of it.
func (d *deltas) change(fn func(active *delta)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shared = nil
	fn(d.active)
}

// freeze makes the active delta the frozen one, of which there is none yet. Writer only.
func (d *deltas) freeze() *delta {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen != nil {
		panic("BUG: two checkpoints at once")
	}
	d.frozen, d.shared = d.active, nil
	d.frozen.pin.last = d.frozen.last
	d.active = newDelta(d.frozen.last)
	d.active.limit = d.frozen.limit
	d.generation.Add(1)
	return d.frozen
}

// drop forgets the frozen delta: the database has it.
func (d *deltas) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropped = append(d.dropped, d.frozen.pin)
	d.frozen = nil
}

// unread tells up to which log record nobody reads any more; 0 = none.
func (d *deltas) unread() (last uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.dropped) > 0 && d.dropped[0].readers == 0 {
		last = d.dropped[0].last
		d.dropped = d.dropped[1:]
	}
	return last
}

// size is the memory and the growth of the database of both; busy tells whether a checkpoint is under way.
func (d *deltas) size() (active, frozen deltaSize) {
	d.mu.Lock()
	defer d.mu.Unlock()
	active = deltaSize{d.active.memory, d.active.growth, d.active.logged}
	if d.frozen != nil {
		frozen = deltaSize{d.frozen.memory, d.frozen.growth, d.frozen.logged}
	}
	return active, frozen
}

// deltaSize is how large a delta is, in bytes.
type deltaSize struct {
	memory, growth int
	logged         int64
}

// busy tells whether there is a frozen delta.
func (d *deltas) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frozen != nil
}
