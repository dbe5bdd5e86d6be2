package retain

import "container/heap"

// expiry orders the visible entries that expire, the next one first. Under Store.mu.
type expiry struct{ h entryHeap }

func (x *expiry) add(e *entry) {
	if e.expires != 0 {
		heap.Push(&x.h, e)
	}
}

func (x *expiry) remove(e *entry) {
	if e.heapAt > 0 {
		heap.Remove(&x.h, e.heapAt-1)
	}
}

// due returns up to limit entries that have expired. They stay until they are no longer visible.
func (x *expiry) due(now int64, limit int) []*entry {
	var found []*entry
	todo := []int{0}
	for len(todo) > 0 && len(found) < limit {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if i < len(x.h) && x.h[i].expired(now) {
			found = append(found, x.h[i])
			todo = append(todo, 2*i+1, 2*i+2)
		}
	}
	return found
}

// entryHeap implements heap.Interface.
type entryHeap []*entry

func (h entryHeap) Len() int           { return len(h) }
func (h entryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }

func (h entryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i+1, j+1
}

func (h *entryHeap) Push(x any) {
	e := x.(*entry)
	*h = append(*h, e)
	e.heapAt = len(*h)
}

func (h *entryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.heapAt = 0
	return e
}
