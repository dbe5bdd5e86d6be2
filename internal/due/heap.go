// Package due keeps what is due when: a heap of items by deadline, and the time that deadlines are
// stored in. It has no goroutine, no timer and no clock that runs: the owner of a Heap asks it for
// what comes first and sets its own timer.
//
//	deadline ── Clock.Stamp ──▶ Mark.At ── Heap.Set ──▶ Heap.First ──▶ the owner's timer ──▶ Heap.Remove
package due

import "iter"

// Item is what a Heap holds, as a rule a pointer to a struct that has a Mark.
type Item interface {
	// Due returns the item's own Mark, always the same one.
	Due() *Mark
}

// Mark is an item's deadline, and its place in the one Heap that it may be in. It belongs to that
// Heap as long as the item is in it.
type Mark struct {
	At    int64 // in a unit that is the owner's choice; do not change it while Waiting
	place int   // index in the heap plus one; 0 = not there
}

// Waiting reports whether the item is in a Heap.
func (m *Mark) Waiting() bool { return m.place > 0 }

// Heap orders items by their deadlines, the earliest first; of equal ones any may be first. The
// zero value is empty. Not safe for concurrent use: its owner's lock guards it and the Marks.
type Heap[T Item] struct{ items []T }

// Len returns how many items are in the heap.
func (h *Heap[T]) Len() int { return len(h.items) }

// First returns the item that is due first; false when there is none.
func (h *Heap[T]) First() (item T, ok bool) {
	if len(h.items) == 0 {
		return item, false
	}
	return h.items[0], true
}

// Set puts item into the heap with a deadline, or moves it there. O(log n).
func (h *Heap[T]) Set(item T, at int64) {
	m := item.Due()
	m.At = at
	if m.place == 0 {
		h.items = append(h.items, item)
		m.place = len(h.items)
	}
	h.fix(m.place - 1)
}

// Remove takes item out, if it is in the heap. O(log n).
func (h *Heap[T]) Remove(item T) {
	m := item.Due()
	if m.place == 0 {
		return
	}
	i, last := m.place-1, len(h.items)-1
	h.swap(i, last)
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	m.place = 0
	if i < last {
		h.fix(i)
	}
}

// Passed yields the items whose deadline is at or before now, in no order. It looks at no more
// than twice as many items as it yields, plus one. The heap must not change meanwhile.
func (h *Heap[T]) Passed(now int64) iter.Seq[T] {
	return func(yield func(T) bool) { h.passed(0, now, yield) }
}

// passed walks the part of the heap below i; it reports whether to go on.
func (h *Heap[T]) passed(i int, now int64, yield func(T) bool) bool {
	if i >= len(h.items) || h.items[i].Due().At > now {
		return true // what is below is due later still
	}
	return yield(h.items[i]) && h.passed(2*i+1, now, yield) && h.passed(2*i+2, now, yield)
}

// fix moves the item at i to where it belongs.
func (h *Heap[T]) fix(i int) {
	for i > 0 && h.before(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.items); child++ {
			if h.before(child, first) {
				first = child
			}
		}
		if first == i {
			return
		}
		h.swap(i, first)
		i = first
	}
}

func (h *Heap[T]) before(i, j int) bool { return h.items[i].Due().At < h.items[j].Due().At }

func (h *Heap[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].Due().place, h.items[j].Due().place = i+1, j+1
}
