package interest

import (
	"hash/maphash"
	"sync"
	"time"

	"mangrove/mqtt"
)

// Copies recognises the further copies of a message that a broker may send, one for each subscription that matches
// [MQTT-3.3.4-2]. Each copy carries the identifier of its subscription [MQTT-3.3.4-5]; the first that comes is
// taken.
//
//	message (topic, payload, properties) ─┬ how many were taken
//	                                      └ how many came for each identifier: more than were taken = one more to take
//
// It loses nothing: a copy is left out only when one for another identifier was taken in its place; were that one of an earlier
// message, then the other identifier's copy of this message is still to come, since it is current: identifiers are not
// used again, and Use is called before a subscription is changed or withdrawn. Safe for concurrent use.
type Copies struct {
	seed maphash.Seed

	mu      sync.Mutex
	current map[uint32]bool
	recent  map[uint64]*copied
	order   []uint64 // of recent, oldest first
	scratch []byte
}

// maxCopied is how many messages are remembered; a copy that comes after so many others is taken as new.
const maxCopied = 1024

// maxScratch is how large a buffer is kept between messages, in bytes.
const maxScratch = 256 << 10

// copied is what came of one message.
type copied struct {
	taken int
	by    map[uint32]int
}

// NewCopies makes one with no identifier in use.
func NewCopies() *Copies {
	return &Copies{seed: maphash.MakeSeed(), recent: map[uint64]*copied{}}
}

// Use says which identifiers are in use; what came before is forgotten.
func (c *Copies) Use(current map[uint32]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = current
	clear(c.recent)
	c.order = c.order[:0]
}

// Repeat notes a copy of m that came for a subscription and reports whether it is one too many.
func (c *Copies) Repeat(m *mqtt.Message, id uint32) bool {
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

func (c *Copies) findLocked(m *mqtt.Message) *copied {
	same := *m
	same.QoS, same.Expires = 0, time.Time{}
	c.scratch = mqtt.AppendMessage(c.scratch[:0], &same)
	key := maphash.Bytes(c.seed, c.scratch)
	if cap(c.scratch) > maxScratch {
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
