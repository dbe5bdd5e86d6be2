package topic

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// branch is what is found below a node at one level: a leaf, which is one filter with its entries, however
// many levels it has left; or, where filters part below, a node. Most filters share their last levels
// with no other, so most branches are leaves with a single entry.
//
//	leaf, one entry      filter key value
//	leaf, more entries   filter           more.entries
//	node                 level            more.node
//
// What a branch is does not change: another takes its place.
type branch[K comparable, V any] struct {
	filter string // whole, of a leaf; the level alone, of a node
	key    K
	value  V
	more   *more[K, V]
}

// more is what few branches have.
type more[K comparable, V any] struct {
	entries atomic.Pointer[hamt[entry[K, V]]] // of a leaf: two at least; of a node: nil
	node    node[K, V]
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func leaf[K comparable, V any](filter string, key K, v V) *branch[K, V] {
	return &branch[K, V]{filter: filter, key: key, value: v}
}

// parted returns a node that has b, a leaf whose next level begins at next, alone below the level at at.
func (b *branch[K, V]) parted(seed maphash.Seed, at, next int) *branch[K, V] {
	f := &struct {
		branch[K, V]
		more[K, V]
	}{} // one piece of memory, as both are read together
	f.branch.filter = strings.Clone(b.level(at)) // the filter may be gone long before the level is
	f.branch.more = &f.more
	f.more.node.put(seed, b.filter, next, b)
	return &f.branch
}

// below is the node that b is, nil for a leaf.
func (b *branch[K, V]) below() *node[K, V] {
	if b.more == nil || b.more.entries.Load() != nil {
		return nil
	}
	return &b.more.node
}

// level is the level of b's own. at is where it begins in all filters that have it.
func (b *branch[K, V]) level(at int) string {
	if b.below() != nil {
		return b.filter
	}
	level, _ := cut(b.filter, at)
	return level
}

// has tells whether that is level, without looking for its end.
func (b *branch[K, V]) has(level string, at int) bool {
	if b.below() != nil {
		return b.filter == level
	}
	tail, ok := strings.CutPrefix(b.filter[at:], level)
	return ok && (tail == "" || tail[0] == '/')
}

// each visits the entries of a leaf.
func (b *branch[K, V]) each(visit func(K, V)) {
	if b.more == nil {
		visit(b.key, b.value)
		return
	}
	b.more.entries.Load().each(func(some []entry[K, V]) {
		for i := range some {
			visit(some[i].key, some[i].value)
		}
	})
}

// get finds a leaf's entry.
func (b *branch[K, V]) get(seed maphash.Seed, key K) (v V, ok bool) {
	if b.more == nil {
		if b.key == key {
			v, ok = b.value, true
		}
		return v, ok
	}
	for _, e := range b.more.entries.Load().find(maphash.Comparable(seed, key)) {
		if e.key == key {
			return e.value, true
		}
	}
	return v, false
}

// with returns the leaf that also has the entry: b itself when it had several before. The tree's lock is held.
func (b *branch[K, V]) with(seed maphash.Seed, key K, v V) *branch[K, V] {
	if b.more == nil && b.key == key {
		return leaf(b.filter, key, v)
	}
	by := entryKeys[K, V](seed)
	if b.more == nil {
		first := entry[K, V]{b.key, b.value}
		b = &branch[K, V]{filter: b.filter, more: new(more[K, V])}
		b.more.entries.Store((*hamt[entry[K, V]])(nil).set(by, first, by.hash(first), 0))
	}
	e := entry[K, V]{key, v}
	b.more.entries.Store(b.more.entries.Load().set(by, e, by.hash(e), 0))
	return b
}

// without returns the leaf that lacks the entry, which b has: nil when it was the only one, b itself when several
// are left. The tree's lock is held.
func (b *branch[K, V]) without(seed maphash.Seed, key K) *branch[K, V] {
	if b.more == nil {
		return nil
	}
	by, gone := entryKeys[K, V](seed), entry[K, V]{key: key}
	entries := b.more.entries.Load().without(by, gone, by.hash(gone), 0)
	if e, alone := entries.only(); alone {
		return leaf(b.filter, e.key, e.value)
	}
	b.more.entries.Store(entries)
	return b
}

func entryKeys[K comparable, V any](seed maphash.Seed) keys[entry[K, V]] {
	return keys[entry[K, V]]{
		hash: func(e entry[K, V]) uint64 { return maphash.Comparable(seed, e.key) },
		same: func(a, b entry[K, V]) bool { return a.key == b.key },
	}
}

// shrunk returns what takes the place of a node from below which an entry was taken: a leaf that is left alone
// moves up. It returns nil when nothing is left, and b itself where filters still part.
func (b *branch[K, V]) shrunk() *branch[K, V] {
	left, several := b.below().left()
	if several || left != nil && left.below() != nil {
		return b
	}
	return left
}

func (b *branch[K, V]) match(seed maphash.Seed, at int, name string, from int, visit func(K, V)) {
	if below := b.below(); below != nil {
		below.match(seed, at, name, from, visit)
	} else if tailMatches(b.filter, at, name, from) {
		b.each(visit)
	}
}

// tailMatches is Match for what is left of filter from at on, and of name from from on.
func tailMatches(filter string, at int, name string, from int) bool {
	switch {
	case at > len(filter):
		return from > len(name)
	case from > len(name):
		return filter[at:] == "#"
	}
	return levelsMatch(filter[at:], name[from:])
}

// all visits the entries of b, or of everything below it.
func (b *branch[K, V]) all(visit func(filter string, key K, v V)) {
	if below := b.below(); below != nil {
		below.each(visit)
		return
	}
	b.each(func(key K, v V) { visit(b.filter, key, v) })
}
