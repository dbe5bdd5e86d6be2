// Package tree is the memory of what changed in the tables since a checkpoint: an ordered set whose copies cost
// nothing, so that readers need no lock while the writer goes on. It knows neither tables nor stores.
package tree

import "slices"

// Tree is an ordered set of items: a B+tree whose nodes are shared with its copies. New makes one.
//
//	inner node: items[i] is a lower bound of what is in below[i]; items[0] is never looked at
//	leaf:       the items, in order
//
// A tree is copied by assignment, at no cost, when who changes it takes a new era from then on: a node of another era
// is copied before it is changed. So a copy may be read without locks while the tree goes on changing.
//
// What an item is compared with is given as a pointer, which escapes to compare: callers that look often keep a place
// for it.
type Tree[T any] struct {
	compare func(a, b *T) int
	root    *node[T]
	size    int
}

// New returns an empty tree whose items are in the order of compare.
func New[T any](compare func(a, b *T) int) Tree[T] { return Tree[T]{compare: compare} }

// Len is the number of items.
func (t *Tree[T]) Len() int { return t.size }

// Era tells who may change a node in place.
type Era struct{ _ byte }

type node[T any] struct {
	era   *Era
	items []T
	below []*node[T] // nil in leaves
}

const (
	fullNode = 24 // items of a node at most
	thinNode = 8  // with fewer a node is joined with its neighbour, if both fit into one
)

func newNode[T any](e *Era) *node[T] {
	return &node[T]{era: e, items: make([]T, 0, fullNode+1)}
}

// own returns n, or a copy of it that belongs to e.
func (n *node[T]) own(e *Era) *node[T] {
	if n.era == e {
		return n
	}
	c := newNode[T](e)
	c.items = append(c.items, n.items...)
	if n.below != nil {
		c.below = append(make([]*node[T], 0, fullNode+1), n.below...)
	}
	return c
}

// position finds item in a leaf.
func (t *Tree[T]) position(n *node[T], item *T) (i int, found bool) {
	low, high := 0, len(n.items)
	for low < high {
		mid := (low + high) / 2
		switch c := t.compare(&n.items[mid], item); {
		case c == 0:
			return mid, true
		case c < 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// branch finds the child of an inner node that item belongs to.
func (t *Tree[T]) branch(n *node[T], item *T) int {
	low, high := 1, len(n.items)
	for low < high {
		if mid := (low + high) / 2; t.compare(&n.items[mid], item) <= 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1
}

// Get finds the item that compares equal, nil when there is none. It is not to be changed.
func (t *Tree[T]) Get(item *T) *T {
	n := t.root
	if n == nil {
		return nil
	}
	for n.below != nil {
		n = n.below[t.branch(n, item)]
	}
	if i, found := t.position(n, item); found {
		return &n.items[i]
	}
	return nil
}

// Set puts a copy of item in the place of the one that compares equal, or adds it.
func (t *Tree[T]) Set(e *Era, item *T) {
	if t.root == nil {
		t.root = newNode[T](e)
	}
	t.root = t.root.own(e)
	if right := t.insert(t.root, e, item); right != nil {
		top := newNode[T](e)
		top.items = append(top.items, right.items[0], right.items[0])
		top.below = append(make([]*node[T], 0, fullNode+1), t.root, right)
		t.root = top
	}
}

// insert returns the right half of n when it had to be split.
func (t *Tree[T]) insert(n *node[T], e *Era, item *T) (right *node[T]) {
	if n.below == nil {
		i, found := t.position(n, item)
		if found {
			n.items[i] = *item
			return nil
		}
		n.items = slices.Insert(n.items, i, *item)
		t.size++
		return n.split(e, i)
	}
	i := t.branch(n, item)
	n.below[i] = n.below[i].own(e)
	added := t.insert(n.below[i], e, item)
	if added == nil {
		return nil
	}
	n.items = slices.Insert(n.items, i+1, added.items[0])
	n.below = slices.Insert(n.below, i+1, added)
	return n.split(e, i+1)
}

// split moves the right part of a node with too many items to a new one. What is added at the end is likely to be
// followed by more there: then the left part stays full.
func (n *node[T]) split(e *Era, added int) *node[T] {
	if len(n.items) <= fullNode {
		return nil
	}
	at := len(n.items) / 2
	if added == len(n.items)-1 {
		at = added
	}
	right := newNode[T](e)
	right.items = append(right.items, n.items[at:]...)
	n.items = slices.Delete(n.items, at, len(n.items))
	if n.below != nil {
		right.below = append(make([]*node[T], 0, fullNode+1), n.below[at:]...)
		n.below = slices.Delete(n.below, at, len(n.below))
	}
	return right
}

// Remove takes out the item that compares equal, if it is there.
func (t *Tree[T]) Remove(e *Era, item *T) {
	if t.Get(item) == nil {
		return
	}
	t.root = t.root.own(e)
	t.cut(t.root, e, item)
	t.size--
	for len(t.root.below) == 1 {
		t.root = t.root.below[0]
	}
	if len(t.root.items) == 0 {
		t.root = nil
	}
}

func (t *Tree[T]) cut(n *node[T], e *Era, item *T) {
	if n.below == nil {
		i, _ := t.position(n, item)
		n.items = slices.Delete(n.items, i, i+1)
		return
	}
	i := t.branch(n, item)
	n.below[i] = n.below[i].own(e)
	t.cut(n.below[i], e, item)
	n.mend(e, i)
}

// mend joins child i with a neighbour when it has become thin, and takes it out when it is empty.
func (n *node[T]) mend(e *Era, i int) {
	switch child := n.below[i]; {
	case len(child.items) == 0:
		n.drop(i)
	case len(child.items) >= thinNode:
	case i > 0 && len(n.below[i-1].items)+len(child.items) <= fullNode:
		n.join(e, i-1)
	case i+1 < len(n.below) && len(n.below[i+1].items)+len(child.items) <= fullNode:
		n.join(e, i)
	}
}

func (n *node[T]) drop(i int) {
	n.items = slices.Delete(n.items, i, i+1)
	n.below = slices.Delete(n.below, i, i+1)
}

// join puts what is in child i+1 into child i.
func (n *node[T]) join(e *Era, i int) {
	left, right := n.below[i].own(e), n.below[i+1]
	at := len(left.items)
	left.items = append(left.items, right.items...)
	if right.below != nil {
		left.items[at] = n.items[i+1]
		left.below = append(left.below, right.below...)
	}
	n.below[i] = left
	n.drop(i + 1)
}

// Cursor walks a tree that does not change meanwhile.
type Cursor[T any] struct{ path []step[T] }

type step[T any] struct {
	n *node[T]
	i int
}

// Seek returns a cursor at the first item that is not below from; nil = the first one.
func (t *Tree[T]) Seek(from *T) Cursor[T] {
	var c Cursor[T]
	n := t.root
	if n == nil {
		return c
	}
	c.path = make([]step[T], 0, 8)
	for n.below != nil {
		i := 0
		if from != nil {
			i = t.branch(n, from)
		}
		c.path = append(c.path, step[T]{n, i})
		n = n.below[i]
	}
	i := 0
	if from != nil {
		i, _ = t.position(n, from)
	}
	c.path = append(c.path, step[T]{n, i})
	c.settle()
	return c
}

// Item is where the cursor stands, nil at the end.
func (c *Cursor[T]) Item() *T {
	if len(c.path) == 0 {
		return nil
	}
	top := &c.path[len(c.path)-1]
	return &top.n.items[top.i]
}

// Next goes on to the next item. The cursor is not at the end.
func (c *Cursor[T]) Next() {
	c.path[len(c.path)-1].i++
	c.settle()
}

// settle goes up from the end of a node, and down again to the first leaf of the next one.
func (c *Cursor[T]) settle() {
	for len(c.path) > 0 {
		top := &c.path[len(c.path)-1]
		if top.n.below == nil && top.i < len(top.n.items) {
			return
		}
		if top.n.below == nil || top.i+1 >= len(top.n.below) {
			c.path = c.path[:len(c.path)-1]
			continue
		}
		top.i++
		c.descend(top.n.below[top.i])
	}
}

func (c *Cursor[T]) descend(n *node[T]) {
	for ; n.below != nil; n = n.below[0] {
		c.path = append(c.path, step[T]{n, 0})
	}
	c.path = append(c.path, step[T]{n, 0})
}
