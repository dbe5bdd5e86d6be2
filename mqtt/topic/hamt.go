package topic

import "math/bits"

// A hamt is an immutable map: a trie over the bits of the key's hash, 32 ways at a time. Adding or
// removing copies the nodes on one path (about log32 of the size) and shares the rest, so a reader
// that holds an old root is never disturbed. nil is the empty map.
//
//	items  [k v][k v]…   the pairs that are alone with their 5 bits here, one per bit of itemBits
//	kids   [*hamt]…      the pairs that are not, one per bit of kidBits
//
// Below the last bits of the hash a node is a plain list: itemBits is 0 and items has the pairs
// whose whole hashes are equal.
type hamt[K comparable, V any] struct {
	itemBits, kidBits uint32
	items             []pair[K, V]
	kids              []*hamt[K, V]
}

type pair[K comparable, V any] struct {
	key   K
	value V
	hash  uint64
}

const (
	hamtBits = 5
	hamtEnd  = 65 // shift at which the 64 bits of a hash are used up
)

// get finds key. hash is the key's hash, the same function for all calls.
func (h *hamt[K, V]) get(hash uint64, key K) (v V, ok bool) {
	for shift := uint(0); h != nil; shift += hamtBits {
		if shift >= hamtEnd {
			return h.listGet(key)
		}
		bit := bitOf(hash, shift)
		if h.itemBits&bit != 0 {
			if p := &h.items[rank(h.itemBits, bit)]; p.key == key {
				return p.value, true
			}
			return v, false
		}
		if h.kidBits&bit == 0 {
			return v, false
		}
		h = h.kids[rank(h.kidBits, bit)]
	}
	return v, false
}

func (h *hamt[K, V]) listGet(key K) (v V, ok bool) {
	if i := h.listIndex(key); i >= 0 {
		return h.items[i].value, true
	}
	return v, false
}

func (h *hamt[K, V]) listIndex(key K) int {
	for i := range h.items {
		if h.items[i].key == key {
			return i
		}
	}
	return -1
}

// set returns a map that also has p; existed tells that its key was there before, with the value old.
func (h *hamt[K, V]) set(p pair[K, V], shift uint) (with *hamt[K, V], old V, existed bool) {
	if h == nil {
		h = &hamt[K, V]{}
	}
	if shift >= hamtEnd {
		return h.listSet(p)
	}
	bit := bitOf(p.hash, shift)
	if h.kidBits&bit != 0 {
		i := rank(h.kidBits, bit)
		kid, old, existed := h.kids[i].set(p, shift+hamtBits)
		return &hamt[K, V]{h.itemBits, h.kidBits, h.items, replaced(h.kids, i, kid)}, old, existed
	}
	i := rank(h.itemBits, bit)
	if h.itemBits&bit == 0 {
		return &hamt[K, V]{h.itemBits | bit, h.kidBits, inserted(h.items, i, p), h.kids}, old, false
	}
	if h.items[i].key == p.key {
		return &hamt[K, V]{h.itemBits, h.kidBits, replaced(h.items, i, p), h.kids}, h.items[i].value, true
	}
	// Two pairs share these 5 bits: both move one node down.
	kid, _, _ := (*hamt[K, V])(nil).set(h.items[i], shift+hamtBits)
	kid, _, _ = kid.set(p, shift+hamtBits)
	kids := inserted(h.kids, rank(h.kidBits, bit), kid)
	return &hamt[K, V]{h.itemBits &^ bit, h.kidBits | bit, removed(h.items, i), kids}, old, false
}

func (h *hamt[K, V]) listSet(p pair[K, V]) (with *hamt[K, V], old V, existed bool) {
	if i := h.listIndex(p.key); i >= 0 {
		return &hamt[K, V]{items: replaced(h.items, i, p)}, h.items[i].value, true
	}
	return &hamt[K, V]{items: inserted(h.items, len(h.items), p)}, old, false
}

// without returns a map that lacks key, nil when nothing is left. When key is not there it returns
// h itself.
func (h *hamt[K, V]) without(hash uint64, key K, shift uint) *hamt[K, V] {
	if h == nil {
		return nil
	}
	if shift >= hamtEnd {
		return h.listWithout(key)
	}
	bit := bitOf(hash, shift)
	if h.itemBits&bit != 0 {
		i := rank(h.itemBits, bit)
		if h.items[i].key != key {
			return h
		}
		return (&hamt[K, V]{h.itemBits &^ bit, h.kidBits, removed(h.items, i), h.kids}).orNil()
	}
	if h.kidBits&bit == 0 {
		return h
	}
	i := rank(h.kidBits, bit)
	kid := h.kids[i].without(hash, key, shift+hamtBits)
	if kid == h.kids[i] {
		return h
	}
	return h.withKid(i, bit, kid)
}

// withKid puts a kid that lost a pair back: one that is down to a single pair moves up.
func (h *hamt[K, V]) withKid(i int, bit uint32, kid *hamt[K, V]) *hamt[K, V] {
	if kid == nil {
		return (&hamt[K, V]{h.itemBits, h.kidBits &^ bit, h.items, removed(h.kids, i)}).orNil()
	}
	if len(kid.items) == 1 && len(kid.kids) == 0 {
		items := inserted(h.items, rank(h.itemBits, bit), kid.items[0])
		return &hamt[K, V]{h.itemBits | bit, h.kidBits &^ bit, items, removed(h.kids, i)}
	}
	return &hamt[K, V]{h.itemBits, h.kidBits, h.items, replaced(h.kids, i, kid)}
}

func (h *hamt[K, V]) listWithout(key K) *hamt[K, V] {
	i := h.listIndex(key)
	if i < 0 {
		return h
	}
	return (&hamt[K, V]{items: removed(h.items, i)}).orNil()
}

func (h *hamt[K, V]) orNil() *hamt[K, V] {
	if len(h.items) == 0 && len(h.kids) == 0 {
		return nil
	}
	return h
}

// each visits all pairs, in no particular order.
func (h *hamt[K, V]) each(visit func(K, V)) {
	if h == nil {
		return
	}
	for i := range h.items {
		visit(h.items[i].key, h.items[i].value)
	}
	for _, kid := range h.kids {
		kid.each(visit)
	}
}

// bitOf is the bit for the 5 bits of hash at shift.
func bitOf(hash uint64, shift uint) uint32 { return 1 << (hash >> shift & 31) }

// rank is the place of bit among the bits of set.
func rank(set, bit uint32) int { return bits.OnesCount32(set & (bit - 1)) }

func replaced[T any](s []T, i int, v T) []T {
	c := make([]T, len(s))
	copy(c, s)
	c[i] = v
	return c
}

func inserted[T any](s []T, i int, v T) []T {
	c := make([]T, len(s)+1)
	copy(c, s[:i])
	c[i] = v
	copy(c[i+1:], s[i:])
	return c
}

func removed[T any](s []T, i int) []T {
	if len(s) == 1 {
		return nil
	}
	c := make([]T, len(s)-1)
	copy(c, s[:i])
	copy(c[i:], s[i+1:])
	return c
}
