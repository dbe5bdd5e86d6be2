package topic

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// Tree holds values under filters, at most one for each pair of filter and key. The zero Tree is
// empty and ready. Safe for concurrent use; must not be copied after first use.
//
// There is one node per level of the filters. A node's parts are immutable maps behind atomic
// pointers: Match follows the pointers and takes no lock; Set and Delete, one at a time, put
// new maps in place. A Match sees every change that returned before it began, and of the changes
// made meanwhile any number.
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

// node is the end of a filter, and the way to the filters that go on below it.
type node[K comparable, V any] struct {
	entries atomic.Pointer[hamt[K, V]]                // filters that end here
	kids    atomic.Pointer[hamt[string, *node[K, V]]] // next levels, wildcards apart
	plus    atomic.Pointer[node[K, V]]                // next level "+"
	hash    atomic.Pointer[node[K, V]]                // next level "#"
}

// Set puts v under filter and key; existed tells that there was one before, old. filter must be valid.
func (t *Tree[K, V]) Set(filter string, key K, v V) (old V, existed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seed := t.seedLocked()
	n := &t.root
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		n = n.grow(seed, level)
	}
	entries, old, existed := n.entries.Load().set(pair[K, V]{key, v, maphash.Comparable(seed, key)}, 0)
	n.entries.Store(entries)
	if !existed {
		t.size.Add(1)
	}
	t.gen.Add(1)
	return old, existed
}

func (t *Tree[K, V]) seedLocked() maphash.Seed {
	if s := t.seed.Load(); s != nil {
		return *s
	}
	seed := maphash.MakeSeed()
	t.seed.Store(&seed)
	return seed
}

// grow returns the node of the next level, made if needed. The tree's lock is held.
func (n *node[K, V]) grow(seed maphash.Seed, level string) *node[K, V] {
	if next := n.next(seed, level); next != nil {
		return next
	}
	next := &node[K, V]{}
	switch level {
	case "+":
		n.plus.Store(next)
	case "#":
		n.hash.Store(next)
	default:
		level = strings.Clone(level) // do not keep the whole filter alive
		kids, _, _ := n.kids.Load().set(pair[string, *node[K, V]]{level, next, maphash.String(seed, level)}, 0)
		n.kids.Store(kids)
	}
	return next
}

// next returns the node of a filter's next level, or nil.
func (n *node[K, V]) next(seed maphash.Seed, level string) *node[K, V] {
	switch level {
	case "+":
		return n.plus.Load()
	case "#":
		return n.hash.Load()
	}
	return n.kid(seed, level)
}

func (n *node[K, V]) kid(seed maphash.Seed, level string) *node[K, V] {
	kids := n.kids.Load()
	if kids == nil {
		return nil
	}
	next, _ := kids.get(maphash.String(seed, level), level)
	return next
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
	if old, existed = t.root.remove(*seed, filter, true, key); existed {
		t.size.Add(-1)
		t.gen.Add(1)
	}
	return old, existed
}

// remove takes the entry out of the subtree and cuts the branch to it if that is empty then. more
// tells that levels are left in rest. The tree's lock is held.
func (n *node[K, V]) remove(seed maphash.Seed, rest string, more bool, key K) (old V, existed bool) {
	if !more {
		entries, hash := n.entries.Load(), maphash.Comparable(seed, key)
		if old, existed = entries.get(hash, key); existed {
			n.entries.Store(entries.without(hash, key, 0))
		}
		return old, existed
	}
	level, rest, more := strings.Cut(rest, "/")
	next := n.next(seed, level)
	if next == nil {
		return old, false
	}
	if old, existed = next.remove(seed, rest, more, key); existed && next.empty() {
		n.cut(seed, level)
	}
	return old, existed
}

func (n *node[K, V]) empty() bool {
	return n.entries.Load() == nil && n.kids.Load() == nil && n.plus.Load() == nil && n.hash.Load() == nil
}

func (n *node[K, V]) cut(seed maphash.Seed, level string) {
	switch level {
	case "+":
		n.plus.Store(nil)
	case "#":
		n.hash.Store(nil)
	default:
		n.kids.Store(n.kids.Load().without(maphash.String(seed, level), level, 0))
	}
}

// Match calls visit for each entry whose filter matches name, in no particular order; a key that
// is under several such filters is visited once for each. visit must not call Set or Delete.
// Match takes no lock and does not allocate.
func (t *Tree[K, V]) Match(name string, visit func(key K, v V)) {
	seed := t.seed.Load()
	if seed == nil {
		return
	}
	if strings.HasPrefix(name, "$") {
		// [MQTT-4.7.2-1] [MQTT311-4.7.2-1] filters that start with a wildcard do not match names that start with '$'.
		level, rest, more := strings.Cut(name, "/")
		if kid := t.root.kid(*seed, level); kid != nil {
			kid.match(*seed, rest, more, visit)
		}
		return
	}
	t.root.match(*seed, name, true, visit)
}

// match goes on below n. more tells that levels of the name are left in rest.
func (n *node[K, V]) match(seed maphash.Seed, rest string, more bool, visit func(K, V)) {
	if hash := n.hash.Load(); hash != nil {
		hash.entries.Load().each(visit) // the parent level itself, and everything below it
	}
	if !more {
		n.entries.Load().each(visit)
		return
	}
	level, rest, more := strings.Cut(rest, "/")
	if plus := n.plus.Load(); plus != nil {
		plus.match(seed, rest, more, visit)
	}
	if kid := n.kid(seed, level); kid != nil {
		kid.match(seed, rest, more, visit)
	}
}

// Generation changes with each Set or Delete that changed something, before it returns: a match
// result is good while the generation read before the Match stays the same.
func (t *Tree[K, V]) Generation() uint64 { return t.gen.Load() }

// Len is the number of entries.
func (t *Tree[K, V]) Len() int { return int(t.size.Load()) }
