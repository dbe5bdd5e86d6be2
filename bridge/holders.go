package bridge

import (
	"slices"
	"sync"
)

// holders knows which edges hold the retained message of a topic because their own clients have published it, so that a core tells
// them of what is published to it elsewhere, whatever they subscribe to. A topic is its reconcile.KeyOf.
//
// It is learnt from what edges publish and, after an attachment, from what they list (healing). It is in memory only. Safe for
// concurrent use.
type holders struct {
	mu   sync.Mutex
	one  map[uint64]*neighbour   // the topics with one holder
	more map[uint64][]*neighbour // those with several
}

// maxHolders bounds the topics of which holders are known. Those of others hear of changes when they compare.
const maxHolders = 2_000_000

// add notes that n holds a topic; false = that is known, or there is no room.
func (h *holders) add(key uint64, n *neighbour) (learnt bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.one == nil {
		h.one, h.more = map[uint64]*neighbour{}, map[uint64][]*neighbour{}
	}
	first, known := h.one[key]
	switch {
	case first == n, slices.Contains(h.more[key], n):
		return false
	case known:
		delete(h.one, key)
		h.more[key] = []*neighbour{first, n}
	case len(h.more[key]) > 0:
		h.more[key] = append(slices.Clip(h.more[key]), n)
	case len(h.one)+len(h.more) < maxHolders:
		h.one[key] = n
	default:
		return false
	}
	return true
}

// of lists who holds a topic. The list does not change.
func (h *holders) of(key uint64) []*neighbour {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.one[key]; n != nil {
		return []*neighbour{n}
	}
	return h.more[key]
}

// forget takes out a topic that was cleared.
func (h *holders) forget(key uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.one, key)
	delete(h.more, key)
}

// keysOf lists the topics that n holds.
func (h *holders) keysOf(n *neighbour) (keys []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, first := range h.one {
		if first == n {
			keys = append(keys, key)
		}
	}
	for key, all := range h.more {
		if slices.Contains(all, n) {
			keys = append(keys, key)
		}
	}
	return keys
}

// leave takes n out: it is at another core, or gone.
func (h *holders) leave(n *neighbour) {
	h.keep(func(_ uint64, x *neighbour) bool { return x != n })
}

// keep takes out all but what stays.
func (h *holders) keep(stays func(key uint64, n *neighbour) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, first := range h.one {
		if !stays(key, first) {
			delete(h.one, key)
		}
	}
	for key, all := range h.more {
		left := slices.DeleteFunc(slices.Clone(all), func(n *neighbour) bool { return !stays(key, n) })
		if h.more[key] = left; len(left) == 0 {
			delete(h.more, key)
		}
	}
}

// len is the number of topics with holders.
func (h *holders) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.one) + len(h.more)
}
