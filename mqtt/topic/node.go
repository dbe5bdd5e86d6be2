package topic

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// node is where filters part that have the same levels up to here.
type node[K comparable, V any] struct {
	end  atomic.Pointer[branch[K, V]]        // the filter that ends here, a leaf
	hash atomic.Pointer[branch[K, V]]        // the filter that goes on with "#" and ends there, a leaf
	plus atomic.Pointer[branch[K, V]]        // next level "+"
	kids atomic.Pointer[hamt[*branch[K, V]]] // next levels by name
}

// cut returns the level of a filter or name that begins at at, and where the next one does: after the last level that
// is beyond the end.
func cut(s string, at int) (level string, next int) {
	end := len(s)
	if i := strings.IndexByte(s[at:], '/'); i >= 0 {
		end = at + i
	}
	return s[at:end], end + 1
}

// slot is the one place, the kids apart, where filter goes on from its level at at; nil when that is among the kids.
func (n *node[K, V]) slot(filter string, at int) (s *atomic.Pointer[branch[K, V]], level string, next int) {
	if at > len(filter) {
		return &n.end, "", at
	}
	switch level, next = cut(filter, at); level {
	case "+":
		s = &n.plus
	case "#":
		s = &n.hash
	}
	return s, level, next
}

// get returns the branch on filter's way, or nil; next is where the level below it begins.
func (n *node[K, V]) get(seed maphash.Seed, filter string, at int) (b *branch[K, V], next int) {
	slot, level, next := n.slot(filter, at)
	if slot != nil {
		return slot.Load(), next
	}
	return n.kid(seed, level, at), next
}

func (n *node[K, V]) kid(seed maphash.Seed, level string, at int) *branch[K, V] {
	kids := n.kids.Load()
	if kids == nil {
		return nil
	}
	for _, b := range kids.find(maphash.String(seed, level)) {
		if b.has(level, at) {
			return b
		}
	}
	return nil
}

// put puts b on filter's way, in place of what was there; nil takes that away. The tree's lock is held.
func (n *node[K, V]) put(seed maphash.Seed, filter string, at int, b *branch[K, V]) {
	slot, level, _ := n.slot(filter, at)
	if slot != nil {
		slot.Store(b)
		return
	}
	by := kidKeys[K, V](seed, at)
	kids, hash := n.kids.Load(), maphash.String(seed, level)
	if b != nil {
		n.kids.Store(kids.set(by, b, hash, 0))
		return
	}
	n.kids.Store(kids.without(by, &branch[K, V]{filter: filter}, hash, 0))
}

// kidKeys are the keys of kids whose levels begin at at.
func kidKeys[K comparable, V any](seed maphash.Seed, at int) keys[*branch[K, V]] {
	return keys[*branch[K, V]]{
		hash: func(b *branch[K, V]) uint64 { return maphash.String(seed, b.level(at)) },
		same: func(a, b *branch[K, V]) bool { return a.level(at) == b.level(at) },
	}
}

// remove takes the entry out of what lies below n. The tree's lock is held.
func (n *node[K, V]) remove(seed maphash.Seed, filter string, at int, key K) (old V, existed bool) {
	b, next := n.get(seed, filter, at)
	if b == nil {
		return old, false
	}
	left := b
	if below := b.below(); below != nil {
		if old, existed = below.remove(seed, filter, next, key); existed {
			left = b.shrunk()
		}
	} else if b.filter == filter {
		if old, existed = b.get(seed, key); existed {
			left = b.without(seed, key)
		}
	}
	if left != b {
		n.put(seed, filter, at, left)
	}
	return old, existed
}

// left returns the branch that is alone below n, or nil when there is none.
func (n *node[K, V]) left() (b *branch[K, V], several bool) {
	if kids := n.kids.Load(); kids != nil {
		kid, alone := kids.only()
		if !alone {
			return nil, true
		}
		b = kid
	}
	for _, slot := range [...]*atomic.Pointer[branch[K, V]]{&n.end, &n.hash, &n.plus} {
		next := slot.Load()
		if next != nil && b != nil {
			return nil, true
		}
		if next != nil {
			b = next
		}
	}
	return b, false
}

// match visits what agrees with name below n: at is where the filters' next levels begin, from where the name's does.
func (n *node[K, V]) match(seed maphash.Seed, at int, name string, from int, visit func(K, V)) {
	if hash := n.hash.Load(); hash != nil {
		hash.each(visit) // the parent level itself, and everything below it
	}
	if from > len(name) {
		if end := n.end.Load(); end != nil {
			end.each(visit)
		}
		return
	}
	level, next := cut(name, from)
	if plus := n.plus.Load(); plus != nil {
		plus.match(seed, at+len("+/"), name, next, visit)
	}
	if kid := n.kid(seed, level, at); kid != nil {
		kid.match(seed, at+next-from, name, next, visit)
	}
}

// each visits everything below n.
func (n *node[K, V]) each(visit func(filter string, key K, v V)) {
	for _, slot := range [...]*atomic.Pointer[branch[K, V]]{&n.end, &n.hash, &n.plus} {
		if b := slot.Load(); b != nil {
			b.all(visit)
		}
	}
	n.kids.Load().each(func(some []*branch[K, V]) {
		for _, b := range some {
			b.all(visit)
		}
	})
}
