package reconcile

import (
	"cmp"
	"slices"
)

// Set is what a node holds at one moment, of the topics that concern the other side. It does not change. Safe for concurrent use.
type Set struct {
	items []Item   // messages, rising by Key
	sums  []uint64 // sums[i] = the sum of items[:i]
	gone  []Item   // clearings, rising by Key
}

// NewSet makes the Set of items, in any order, which become its own.
func NewSet(items []Item) *Set {
	s := &Set{}
	for _, it := range items {
		if it.Gone {
			s.gone = append(s.gone, it)
		}
	}
	s.items = slices.DeleteFunc(items, func(it Item) bool { return it.Gone })
	slices.SortFunc(s.items, byKey)
	slices.SortFunc(s.gone, byKey)
	s.sums = make([]uint64, len(s.items)+1)
	for i := range s.items {
		s.sums[i+1] = s.sums[i] + s.items[i].sum()
	}
	return s
}

func byKey(a, b Item) int { return cmp.Compare(a.Key, b.Key) }

// within finds the messages in r: items[from:to].
func (s *Set) within(r Range) (from, to int) {
	from, _ = slices.BinarySearchFunc(s.items, r.Prefix, atKey)
	if r.last() == ^uint64(0) {
		return from, len(s.items)
	}
	to, _ = slices.BinarySearchFunc(s.items, r.last()+1, atKey)
	return from, to
}

func atKey(it Item, key uint64) int { return cmp.Compare(it.Key, key) }

// summed is the Part that sums up r.
func (s *Set) summed(r Range) Part {
	from, to := s.within(r)
	return Part{Kind: Sum, Range: r, Count: uint64(to - from), Sum: s.sums[to] - s.sums[from]}
}

// find returns what is held of a topic, message or clearing; nil = nothing.
func (s *Set) find(key uint64) *Item {
	if i, ok := slices.BinarySearchFunc(s.items, key, atKey); ok {
		return &s.items[i]
	}
	return s.cleared(key)
}

func (s *Set) cleared(key uint64) *Item {
	if i, ok := slices.BinarySearchFunc(s.gone, key, atKey); ok {
		return &s.gone[i]
	}
	return nil
}

// Topic is the name of a topic that is held; "" when it is not.
func (s *Set) Topic(key uint64) string {
	if it := s.find(key); it != nil {
		return it.Topic
	}
	return ""
}
