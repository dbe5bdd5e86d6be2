package bridge

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"mangrove/mqtt"
)

// overlap tells whether some topic matches both filters.
func overlap(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := 0; ; i++ {
		switch endX, endY := i == len(x), i == len(y); {
		case endX && endY:
			return true
		case endX:
			return y[i] == "#"
		case endY:
			return x[i] == "#"
		case x[i] == "#" || y[i] == "#":
			return true
		case x[i] != "+" && y[i] != "+" && x[i] != y[i]:
			return false
		}
	}
}

// maxRivals bounds the filters that are compared with each other; of more none is given an identifier, and a
// broker's further copies of a message come in.
const maxRivals = 1000

// rivals finds the filters of a cover that overlap with another of them.
func rivals(filters map[string]byte) map[string]bool {
	var wild []string // without wildcards there is no overlap, else one would contain the other
	for f := range filters {
		if strings.ContainsAny(f, "+#") {
			wild = append(wild, f)
		}
	}
	found := map[string]bool{}
	if len(wild) > maxRivals {
		return found
	}
	for i, a := range wild {
		for _, b := range wild[:i] {
			if overlap(a, b) {
				found[a], found[b] = true, true
			}
		}
	}
	return found
}

// copies recognises the further copies of a message that a broker may send, one for each subscription that matches
// [MQTT-3.3.4-2]. Each copy carries the identifier of its subscription [MQTT-3.3.4-5]; the first that comes is
// taken.
//
//	message (topic, payload, properties) ─┬ how many were taken
//	                                      └ how many came for each identifier: more than were taken = one more to take
//
// It loses nothing: a copy is left out only when one for another identifier was taken in its place; were that one of an earlier
// message, then the other identifier's copy of this message is still to come, since it is current: identifiers are not
// used again, and set is called before a subscription is changed or withdrawn. Safe for concurrent use.
type copies struct {
	seed maphash.Seed

	mu      sync.Mutex
	current map[uint32]bool
	recent  map[uint64]*copied
	order   []uint64 // of recent, oldest first
	scratch []byte
}

// maxCopied is how many messages are remembered; a copy that comes after so many others is taken as new.
const maxCopied = 1024

type copied struct {
	taken int
	by    map[uint32]int
}

func newCopies() *copies {
	return &copies{seed: maphash.MakeSeed(), recent: map[uint64]*copied{}}
}

// set says which identifiers are in use; what came before is forgotten.
func (c *copies) set(current map[uint32]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = current
	clear(c.recent)
	c.order = c.order[:0]
}

// repeat notes a copy of m that came for a subscription and reports whether it is one too many.
func (c *copies) repeat(m *mqtt.Message, id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.current[id] {
		return false
	}
	each := c.findLocked(m)
	if each.by[id]++; each.by[id] <= each.taken {
		return true
	}
	each.taken++
	return false
}

func (c *copies) findLocked(m *mqtt.Message) *copied {
	same := *m
	same.QoS, same.Expires = 0, time.Time{}
	c.scratch = mqtt.AppendMessage(c.scratch[:0], &same)
	key := maphash.Bytes(c.seed, c.scratch)
	if cap(c.scratch) > frameTarget {
		c.scratch = nil
	}
	each := c.recent[key]
	if each == nil {
		if len(c.order) == maxCopied {
			delete(c.recent, c.order[0])
			c.order = c.order[1:]
		}
		each = &copied{by: map[uint32]int{}}
		c.recent[key] = each
		c.order = append(c.order, key)
	}
	return each
}
