package broker

import (
	"sync/atomic"
	"time"

	"mangrove/internal/bell"
	"mangrove/mqtt/transport"
)

// unreadState lets others wait until the reader has handled what the client has sent.
//
//	reader:  taken ── read, handle ──┬─ nothing more to read: taken = false, tell
//	                                 └─ the connection has ended: left, tell
//	waiter:  AwaitHandled looks, and looks again when told
type unreadState struct {
	taken  atomic.Bool               // the reader may have bytes that it has not handled; set before it reads them where the kernel can be asked
	waiter atomic.Pointer[bell.Bell] // rung by tell; nil = nobody has waited
}

// handled notes that the reader has handled all bytes it has read.
func (u *unreadState) handled() {
	u.taken.Store(false)
	u.tell()
}

// tell makes a waiter look.
func (u *unreadState) tell() {
	if b := u.waiter.Load(); b != nil {
		b.Ring()
	}
}

// changes returns what tell rings.
func (u *unreadState) changes() bell.Bell {
	if u.waiter.Load() == nil {
		b := bell.New()
		u.waiter.CompareAndSwap(nil, &b)
	}
	return *u.waiter.Load()
}

// handledTime is how long AwaitHandled waits at most.
const handledTime = 100 * time.Millisecond

// AwaitHandled implements mqtt.Awaiter. A client that says goodbye and comes back at once has two connections
// here for a moment, and the new one may be read first.
func (c *conn) AwaitHandled() {
	changes := c.unread.changes()
	defer changes.Ring() // another waiter may have missed what this one was told
	patience := time.NewTimer(handledTime)
	defer patience.Stop()
	for !c.hasHandled() {
		select {
		case <-changes:
		case <-patience.C:
			return
		}
	}
}

// hasHandled reports whether nothing that the client has sent waits to be handled, or its session was told that the
// connection has ended. The kernel is asked first: bytes that it gave to the reader meanwhile are marked as taken.
func (c *conn) hasHandled() bool {
	return c.left.Load() || !transport.HasInput(c.nc) && !c.unread.taken.Load()
}
