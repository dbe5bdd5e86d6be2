package lane

import (
	"sync"

	"mangrove/bridge/frame"
	"mangrove/mqtt"
)

// Ring is the volatile lane to one neighbour: QoS 0 messages that wait for the connection. At its bounds the
// oldest goes; without a connection all do. Safe for concurrent use.
type Ring struct {
	maxMessages, maxBytes int
	dropped               func(reason string, n int) // called with mu held

	mu       sync.Mutex
	open     bool
	messages []*mqtt.Message // a circle: n from head
	head, n  int
	bytes    int
	sent     uint64 // positions given so far
}

// NewRing makes one that is closed: there is no connection. dropped counts; it is called with a lock held.
func NewRing(maxMessages, maxBytes int, dropped func(reason string, n int)) *Ring {
	return &Ring{maxMessages: maxMessages, maxBytes: maxBytes, dropped: dropped}
}

// Add queues m or drops something, counted. It reports whether there was nothing before.
func (r *Ring) Add(m *mqtt.Message) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open {
		r.dropped(DropLinkDown, 1)
		return false
	}
	for r.n > 0 && (r.n == r.maxMessages || r.bytes+m.Size() > r.maxBytes) {
		r.pop()
		r.dropped(DropBufferFull, 1)
	}
	if r.n == len(r.messages) {
		r.grow()
	}
	r.messages[(r.head+r.n)%len(r.messages)] = m.Kept()
	r.n++
	r.bytes += m.Size()
	return r.n == 1
}

func (r *Ring) grow() {
	larger := make([]*mqtt.Message, max(16, min(2*len(r.messages), r.maxMessages)))
	for i := range r.n {
		larger[i] = r.messages[(r.head+i)%len(r.messages)]
	}
	r.messages, r.head = larger, 0
}

func (r *Ring) pop() *mqtt.Message {
	m := r.messages[r.head]
	r.messages[r.head] = nil
	r.head = (r.head + 1) % len(r.messages)
	r.n--
	r.bytes -= m.Size()
	return m
}

// Take removes the messages of one frame; first is the position of the first.
func (r *Ring) Take(dst []*mqtt.Message, maxBytes int) (found []*mqtt.Message, first uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first = r.sent + 1
	for size := 0; r.n > 0 && len(dst) < frame.MaxItems; {
		next := r.messages[r.head].Size()
		if len(dst) > 0 && size+next > maxBytes {
			break
		}
		size += next
		dst = append(dst, r.pop())
		r.sent++
	}
	return dst, first
}

// SetOpen says whether there is a connection. Closing drops what waits.
func (r *Ring) SetOpen(open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = open
	if open {
		return
	}
	if r.n > 0 {
		r.dropped(DropLinkDown, r.n)
	}
	r.messages, r.head, r.n, r.bytes = nil, 0, 0, 0
}
