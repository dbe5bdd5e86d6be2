package reconcile

import (
	"cmp"
	"slices"
)

// Index is all that a node holds at one moment, messages and clearings. It does not change. Safe for concurrent use.
type Index struct{ items []Item } // rising by Key

// NewIndex makes the Index of items, in any order, which become its own.
func NewIndex(items []Item) *Index {
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.Key, b.Key) })
	return &Index{items}
}

// find returns what is held of a topic, message or clearing; nil = nothing.
func (x *Index) find(key uint64) *Item {
	if i, ok := x.place(key); ok {
		return &x.items[i]
	}
	return nil
}

func (x *Index) place(key uint64) (i int, ok bool) {
	return slices.BinarySearchFunc(x.items, key, func(it Item, key uint64) int { return cmp.Compare(it.Key, key) })
}

// Topic is the name of a topic that is held; "" when it is not.
func (x *Index) Topic(key uint64) string {
	if it := x.find(key); it != nil {
		return it.Topic
	}
	return ""
}

// Set is the messages of an Index that concern the other side. It does not change. Safe for concurrent use.
type Set struct {
	index   *Index
	members []uint32 // places in index.items, rising
	sums    []uint64 // sums[i] = the sum of members[:i]
}

// All is the Set of all messages.
func (x *Index) All() *Set {
	s := &Set{index: x, members: make([]uint32, 0, len(x.items))}
	for i := range x.items {
		if !x.items[i].Gone {
			s.members = append(s.members, uint32(i))
		}
	}
	return s.summedUp()
}

// Some is the Set of the messages of these topics, as far as they are held; a topic may come twice.
func (x *Index) Some(keys []uint64) *Set {
	s := &Set{index: x}
	for _, key := range keys {
		if i, ok := x.place(key); ok && !x.items[i].Gone {
			s.members = append(s.members, uint32(i))
		}
	}
	slices.Sort(s.members)
	s.members = slices.Compact(s.members)
	return s.summedUp()
}

func (s *Set) summedUp() *Set {
	s.sums = make([]uint64, len(s.members)+1)
	for i := range s.members {
		s.sums[i+1] = s.sums[i] + s.item(i).sum()
	}
	return s
}

// item is the message of members[i].
func (s *Set) item(i int) *Item { return &s.index.items[s.members[i]] }

// list copies the messages of members[from:to].
func (s *Set) list(from, to int) []Item {
	items := make([]Item, 0, to-from)
	for ; from < to; from++ {
		items = append(items, *s.item(from))
	}
	return items
}

// within finds the messages in r: members[from:to].
func (s *Set) within(r Range) (from, to int) {
	from = s.search(r.Prefix)
	if r.last() == ^uint64(0) {
		return from, len(s.members)
	}
	return from, s.search(r.last() + 1)
}

// search finds the first member whose key is not below key.
func (s *Set) search(key uint64) int {
	i, _ := slices.BinarySearchFunc(s.members, key, func(place uint32, key uint64) int { return cmp.Compare(s.index.items[place].Key, key) })
	return i
}

// summed is the Part that sums up r.
func (s *Set) summed(r Range) Part {
	from, to := s.within(r)
	return Part{Kind: Sum, Range: r, Count: uint64(to - from), Sum: s.sums[to] - s.sums[from]}
}
