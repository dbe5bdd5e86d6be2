package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

// tick is the wheel's step: how late a keep-alive may be noticed.
const tick = 250 * time.Millisecond

// wheelSlots bounds how far ahead a check is kept; later ones are looked at once per round.
const wheelSlots = 256

// wheel is one timer for all connections of a Server: connections note the tick of their last
// activity, and the wheel looks at each when its time could have come. So a packet costs one atomic
// store and no timer.
//
//	slots  [ 0 ][ 1 ] … [now] … [255]      each a list of connections to look at in that tick
type wheel struct {
	now atomic.Uint32 // ticks since the Server began; starts at 1, so that 0 can mean never

	mu    sync.Mutex
	slots [wheelSlots]*alarm
}

// alarm is a connection's place in the wheel.
type alarm struct {
	of watched

	slot       *(*alarm) // list it is in; nil = none. The wheel's lock guards the rest.
	next, prev *alarm
	gone       bool
}

// watched is what an alarm is of.
type watched interface {
	// look is called by the wheel's goroutine without locks, and returns in how many ticks to look again; 0 = never.
	look(now uint32) uint32
}

func newWheel() *wheel {
	w := &wheel{}
	w.now.Store(1)
	return w
}

// add makes the wheel look at a in ticks.
func (w *wheel) add(a *alarm, ticks uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.gone {
		return
	}
	w.unlinkLocked(a)
	at := w.now.Load() + min(max(ticks, 1), wheelSlots-1)
	a.slot = &w.slots[at%wheelSlots]
	if a.next = *a.slot; a.next != nil {
		a.next.prev = a
	}
	*a.slot = a
}

// remove makes the wheel forget a for good.
func (w *wheel) remove(a *alarm) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.gone = true
	w.unlinkLocked(a)
}

func (w *wheel) unlinkLocked(a *alarm) {
	if a.slot == nil {
		return
	}
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		*a.slot = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	}
	a.slot, a.next, a.prev = nil, nil, nil
}

// turn moves on by one tick and looks at the connections whose time it is.
func (w *wheel) turn() {
	now := w.now.Add(1)
	for _, a := range w.due(now) {
		if again := a.of.look(now); again != 0 {
			w.add(a, again)
		}
	}
}

func (w *wheel) due(now uint32) (due []*alarm) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for head := &w.slots[now%wheelSlots]; *head != nil; {
		due = append(due, *head)
		w.unlinkLocked(*head)
	}
	return due
}

// run turns the wheel until stop is closed.
func (w *wheel) run(stop <-chan struct{}) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.turn()
		case <-stop:
			return
		}
	}
}

// inTicks rounds up, so that nothing comes early: the tick noted may be over already, and the one
// it is compared with has just begun.
func inTicks(d time.Duration) uint32 { return uint32((d+tick-1)/tick) + 2 }
