package transport

import (
	"container/list"
	"net"
	"sync"
	"time"

	"mangrove/internal/bell"
)

// handshakeGrace is how long a handshake is left in peace when there are too many. An honest peer
// needs a few round trips; one that holds its place longer gives way to the next in line.
const handshakeGrace = 2 * time.Second

// halfOpen bounds the handshakes under way. At the bound a newcomer waits until one ends; the
// oldest one that has had its grace is closed to make room, so that peers who connect and stay silent
// cannot shut the door for the others.
type halfOpen struct {
	max   int
	freed bell.Bell // rings after each leave; only enter listens

	mu     sync.Mutex
	grace  time.Duration
	under  list.List // of *opening, oldest first
	closed bool
}

// opening is one connection in its handshake.
type opening struct {
	conn     net.Conn
	since    time.Time
	finished bool // ready, waiting for Accept: not to be closed any more
	place    *list.Element
}

func newHalfOpen(max int) *halfOpen {
	return &halfOpen{max: max, grace: handshakeGrace, freed: bell.New()}
}

// enter waits for room and lets c in; nil when closed comes first, or closeAll. One caller at a time.
func (h *halfOpen) enter(c net.Conn, closed <-chan struct{}) *opening {
	for {
		o, wait := h.try(c)
		if o != nil || wait == 0 {
			return o
		}
		timer := time.NewTimer(wait)
		select {
		case <-h.freed:
		case <-timer.C:
		case <-closed:
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// try lets c in if there is room. Else it closes the oldest if its grace is over, and tells
// how long to wait at most before trying again; 0 = no use any more.
func (h *halfOpen) try(c net.Conn) (o *opening, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, 0
	}
	if h.under.Len() < h.max {
		o = &opening{conn: c, since: time.Now()}
		o.place = h.under.PushBack(o)
		return o, 0
	}
	for e := h.under.Front(); e != nil; e = e.Next() {
		oldest := e.Value.(*opening)
		if oldest.finished {
			continue
		}
		left := h.grace - time.Since(oldest.since)
		if left > 0 {
			return nil, left
		}
		abandon(oldest.conn)
		break
	}
	return nil, h.grace
}

// abandon ends a handshake under way: its reads and writes fail at once, and its own goroutine closes c.
func abandon(c net.Conn) { _ = c.SetDeadline(time.Unix(1, 0)) } // fails only when c is closed already

// finish says that o's handshake is over and it waits for Accept.
func (h *halfOpen) finish(o *opening) {
	h.mu.Lock()
	o.finished = true
	h.mu.Unlock()
}

// leave makes room.
func (h *halfOpen) leave(o *opening) {
	h.mu.Lock()
	h.under.Remove(o.place)
	h.mu.Unlock()
	h.freed.Ring()
}

// closeAll ends every handshake under way and lets no more in. The deadlines of connections must
// be set before they enter.
func (h *halfOpen) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for e := h.under.Front(); e != nil; e = e.Next() {
		abandon(e.Value.(*opening).conn)
	}
}
