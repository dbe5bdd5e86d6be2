package topic

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Tree holds values under filters, at most one for each pair of filter and key. The zero Tree is
// empty and ready. Safe for concurrent use; must not be copied after first use.
//
// There is one node for each level at which filters part, and a leaf for each filter. A node's parts are
// immutable behind atomic pointers: Match follows the pointers and takes no lock; Set and Delete, one
// at a time, put new parts in place. A Match sees every change that returned before it began, and of
// the changes made meanwhile any number.
//
// The cost of Match depends on the levels of the name and on the branches that agree with it so
// far, not on what else is in the tree. Set and Delete cost the levels of the filter and the
// logarithm of the number of siblings there. Filters are taken literally: "$share/…" must be Split before.
type Tree[K comparable, V any] struct {
	mu   sync.Mutex // held by writers
	root node[K, V]

	seed atomic.Pointer[maphash.Seed] // set with the first entry
	gen  atomic.Uint64
	size atomic.Int64
}

// Set puts v under filter and key; existed tells that there was one before, old. filter must be valid; the
// tree keeps the string, of several that are equal the first.
func (t *Tree[K, V]) Set(filter string, key K, v V) (old V, existed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, existed = t.setLocked(t.seedLocked(), filter, key, v)
	if !existed {
		t.size.Add(1)
	}
	t.gen.Add(1)
	return old, existed
}

func (t *Tree[K, V]) setLocked(seed maphash.Seed, filter string, key K, v V) (old V, existed bool) {
	for n, at := &t.root, 0; ; {
		b, next := n.get(seed, filter, at)
		switch {
		case b == nil:
			n.put(seed, filter, at, leaf(filter, key, v))
			return old, false
		case b.below() == nil && b.filter == filter:
			old, existed = b.get(seed, key)
			if with := b.with(seed, key, v); with != b {
				n.put(seed, filter, at, with)
			}
			return old, existed
		case b.below() == nil: // two filters part at the next level or further below
			b = b.parted(seed, at, next)
			n.put(seed, filter, at, b)
		}
		n, at = b.below(), next
	}
}

func (t *Tree[K, V]) seedLocked() maphash.Seed {
	if s := t.seed.Load(); s != nil {
		return *s
	}
	seed := maphash.MakeSeed()
	t.seed.Store(&seed)
	return seed
}

// Delete removes what is under filter and key; existed tells that there was something, old. Branches
// that became empty are removed too.
func (t *Tree[K, V]) Delete(filter string, key K) (old V, existed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seed := t.seed.Load()
	if seed == nil {
		return old, false
	}
	if old, existed = t.root.remove(*seed, filter, 0, key); existed {
		t.size.Add(-1)
		t.gen.Add(1)
	}
	return old, existed
}

// Match calls visit for each entry whose filter matches name, in no particular order; a key that
// is under several such filters is visited once for each. visit must not call Set or Delete.
// Match takes no lock and does not allocate.
func (t *Tree[K, V]) Match(name string, visit func(key K, v V)) {
	seed := t.seed.Load()
	if seed == nil {
		return
	}
	if Special(name) {
		// [MQTT-4.7.2-1] [MQTT311-4.7.2-1] filters that start with a wildcard do not match names that start with '$'.
		level, next := cut(name, 0)
		if kid := t.root.kid(*seed, level, 0); kid != nil {
			kid.match(*seed, next, name, next, visit)
		}
		return
	}
	t.root.match(*seed, 0, name, 0, visit)
}

// Under calls visit for each entry of filter itself, in no particular order, as Match does.
func (t *Tree[K, V]) Under(filter string, visit func(key K, v V)) {
	seed := t.seed.Load()
	if seed == nil {
		return
	}
	for n, at := &t.root, 0; n != nil; {
		b, next := n.get(*seed, filter, at)
		if b == nil {
			return
		}
		if n, at = b.below(), next; n == nil && b.filter == filter {
			b.each(visit)
		}
	}
}

// All calls visit for each entry, in no particular order, as Match does. filter is a string that the tree was given.
func (t *Tree[K, V]) All(visit func(filter string, key K, v V)) { t.root.each(visit) }

// Generation changes with each Set or Delete that changed something, before it returns: a match
// result is good while the generation read before the Match stays the same.
func (t *Tree[K, V]) Generation() uint64 { return t.gen.Load() }

// Len is the number of entries.
func (t *Tree[K, V]) Len() int { return int(t.size.Load()) }
