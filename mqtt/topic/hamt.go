package topic

import "math/bits"

// A hamt is an immutable set of items that are found by a key they have: a trie over the bits of the key's
// hash, 32 ways at a time. Adding or removing copies the nodes on one path (about log32 of the size) and
// shares the rest, so a reader that holds an old root is never disturbed. nil is the empty set.
//
//	items  [item][item]…   those that are alone with their 5 bits here, one per bit of itemBits
//	kids   [*hamt]…        those that are not, one per bit of kidBits
//
// Below the last bits of the hash a node is a plain list: itemBits is 0 and items has those whose
// whole hashes are equal. Hashes are not kept: what moves down is hashed again.
type hamt[T any] struct {
	itemBits, kidBits uint32
	items             []T
	kids              []*hamt[T]
}

// keys tells of a hamt's items what their keys are, the same for all calls.
type keys[T any] struct {
	hash func(T) uint64
	same func(a, b T) bool
}

const (
	hamtBits = 5
	hamtEnd  = 65 // shift at which the 64 bits of a hash are used up
)

// find returns the items whose key may be the one with that hash: one at most, but where whole hashes are equal. h is
// not nil.
func (h *hamt[T]) find(hash uint64) []T {
	for shift := uint(0); ; shift += hamtBits {
		if shift >= hamtEnd {
			return h.items
		}
		bit := bitOf(hash, shift)
		if h.itemBits&bit != 0 {
			i := rank(h.itemBits, bit)
			return h.items[i : i+1]
		}
		if h.kidBits&bit == 0 {
			return nil
		}
		h = h.kids[rank(h.kidBits, bit)]
	}
}

// set returns a set that has item, in place of the one with the same key. hash is the item's.
func (h *hamt[T]) set(by keys[T], item T, hash uint64, shift uint) *hamt[T] {
	if h == nil {
		h = &hamt[T]{}
	}
	if shift >= hamtEnd {
		return h.listSet(by, item)
	}
	bit := bitOf(hash, shift)
	if h.kidBits&bit != 0 {
		i := rank(h.kidBits, bit)
		kid := h.kids[i].set(by, item, hash, shift+hamtBits)
		return &hamt[T]{h.itemBits, h.kidBits, h.items, replaced(h.kids, i, kid)}
	}
	i := rank(h.itemBits, bit)
	if h.itemBits&bit == 0 {
		return &hamt[T]{h.itemBits | bit, h.kidBits, inserted(h.items, i, item), h.kids}
	}
	if by.same(h.items[i], item) {
		return &hamt[T]{h.itemBits, h.kidBits, replaced(h.items, i, item), h.kids}
	}
	// Two items share these 5 bits: both move one node down.
	kid := (*hamt[T])(nil).set(by, h.items[i], by.hash(h.items[i]), shift+hamtBits)
	kid = kid.set(by, item, hash, shift+hamtBits)
	kids := inserted(h.kids, rank(h.kidBits, bit), kid)
	return &hamt[T]{h.itemBits &^ bit, h.kidBits | bit, removed(h.items, i), kids}
}

func (h *hamt[T]) listSet(by keys[T], item T) *hamt[T] {
	if i := h.listIndex(by, item); i >= 0 {
		return &hamt[T]{items: replaced(h.items, i, item)}
	}
	return &hamt[T]{items: inserted(h.items, len(h.items), item)}
}

func (h *hamt[T]) listIndex(by keys[T], item T) int {
	for i := range h.items {
		if by.same(h.items[i], item) {
			return i
		}
	}
	return -1
}

// without returns a set that lacks the item with the key of like, nil when nothing is left. When there is none it
// returns h itself. hash is like's.
func (h *hamt[T]) without(by keys[T], like T, hash uint64, shift uint) *hamt[T] {
	if h == nil {
		return nil
	}
	if shift >= hamtEnd {
		return h.listWithout(by, like)
	}
	bit := bitOf(hash, shift)
	if h.itemBits&bit != 0 {
		i := rank(h.itemBits, bit)
		if !by.same(h.items[i], like) {
			return h
		}
		return (&hamt[T]{h.itemBits &^ bit, h.kidBits, removed(h.items, i), h.kids}).orNil()
	}
	if h.kidBits&bit == 0 {
		return h
	}
	i := rank(h.kidBits, bit)
	kid := h.kids[i].without(by, like, hash, shift+hamtBits)
	if kid == h.kids[i] {
		return h
	}
	return h.withKid(i, bit, kid)
}

// withKid puts a kid that lost an item back: one that is down to a single item moves up. No kid has less, so none
// is ever empty.
func (h *hamt[T]) withKid(i int, bit uint32, kid *hamt[T]) *hamt[T] {
	if item, alone := kid.only(); alone {
		items := inserted(h.items, rank(h.itemBits, bit), item)
		return &hamt[T]{h.itemBits | bit, h.kidBits &^ bit, items, removed(h.kids, i)}
	}
	return &hamt[T]{h.itemBits, h.kidBits, h.items, replaced(h.kids, i, kid)}
}

func (h *hamt[T]) listWithout(by keys[T], like T) *hamt[T] {
	i := h.listIndex(by, like)
	if i < 0 {
		return h
	}
	return (&hamt[T]{items: removed(h.items, i)}).orNil()
}

func (h *hamt[T]) orNil() *hamt[T] {
	if len(h.items) == 0 && len(h.kids) == 0 {
		return nil
	}
	return h
}

// only returns the item of a set that has one. h is not nil.
func (h *hamt[T]) only() (item T, alone bool) {
	if len(h.items) != 1 || len(h.kids) != 0 {
		return item, false
	}
	return h.items[0], true
}

// each visits all items, some at a time, in no particular order.
func (h *hamt[T]) each(visit func([]T)) {
	if h == nil {
		return
	}
	visit(h.items)
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
