package bridge

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"mangrove/bridge/frame"
)

// announcer knows what this node tells its links that it wants.
//
//	Router.Interest ─changed→ set ─┬→ listener of a link: snapshot, then changes ─pull→ INTEREST frames
//	                  └ no longer wanted: leaving, until linger has passed
//
// A filter nobody wants any more stays announced for linger: clients that come and go do not make the
// whole fleet change its mind each time. Above max filters "#" is announced in place of all: more
// than is wanted may come then, but nothing is missed. So when more than max linger, those that left first go at once.
// A link for which more than max changes wait is told everything anew instead.
//
// changed is called by the Router with its locks held; nothing here calls the Router. Safe for concurrent use.
type announcer struct {
	linger time.Duration
	max    int
	now    func() time.Time

	mu        sync.Mutex
	set       interestSet // what is wanted, or leaving
	leaving   map[string]time.Time
	due       []leaver // in the order of their times, at most 2 max; some are wanted again
	listeners map[*listener]struct{}
	flooded   bool          // "#" is announced in place of set
	alarm     chan struct{} // due has a first entry; cap 1
}

type leaver struct {
	filter string
	at     time.Time
}

// listener is one link's place in what it has been told.
type listener struct {
	kick     func()       // there is something to pull; must not block
	snapshot []frame.Want // still to be sent
	first    bool         // the next frame starts the snapshot
	sending  bool         // a snapshot is under way
	agreed   bool         // no snapshot was needed: an empty frame says so
	changes  map[string]frame.Want
}

// floodQoS is what "#" is announced with in place of too many filters.
const floodQoS = 2

func newAnnouncer(linger time.Duration, maxFilters int, now func() time.Time) *announcer {
	return &announcer{
		linger:    linger,
		max:       maxFilters,
		now:       now,
		leaving:   map[string]time.Time{},
		listeners: map[*listener]struct{}{},
		alarm:     make(chan struct{}, 1),
	}
}

// changed is the function for Router.Interest.
func (a *announcer) changed(filter string, qos byte, wanted bool) {
	if strings.HasPrefix(filter, "$") {
		return // stays within the node
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !wanted {
		a.leaveLocked(filter)
		return
	}
	delete(a.leaving, filter)
	if had, existed := a.set.put(filter, qos); !existed || had != qos {
		a.tellLocked(frame.Want{Filter: filter, QoS: qos})
	}
}

func (a *announcer) leaveLocked(filter string) {
	at := a.now().Add(a.linger)
	a.leaving[filter] = at
	a.due = append(a.due, leaver{filter, at})
	for len(a.leaving) > a.max {
		a.withdrawLocked()
	}
	if len(a.due) > 2*a.max {
		a.due = slices.DeleteFunc(a.due, func(d leaver) bool { return !a.leavesLocked(d) })
	}
	select {
	case a.alarm <- struct{}{}:
	default:
	}
}

// leavesLocked tells whether d's filter has not been wanted since.
func (a *announcer) leavesLocked(d leaver) bool {
	at, leaves := a.leaving[d.filter]
	return leaves && at.Equal(d.at)
}

// withdrawLocked takes out the filter that left first, unless it was wanted since.
func (a *announcer) withdrawLocked() {
	d := a.due[0]
	a.due = a.due[1:]
	if a.leavesLocked(d) {
		delete(a.leaving, d.filter)
		a.set.remove(d.filter)
		a.tellLocked(frame.Want{Filter: d.filter, Gone: true})
	}
}

// tellLocked passes a change of set on.
func (a *announcer) tellLocked(w frame.Want) {
	if over := len(a.set.filters) > a.max; over != a.flooded {
		a.flooded = over
		for l := range a.listeners {
			a.restartLocked(l)
		}
		return
	}
	if a.flooded {
		return
	}
	for l := range a.listeners {
		if l.changes[w.Filter] = w; len(l.changes) > a.max {
			a.restartLocked(l)
			continue
		}
		l.kick()
	}
}

// run ends the lingering of filters until ctx ends. The Bridge owns its goroutine.
func (a *announcer) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(a.expire())
		select {
		case <-ctx.Done():
			return
		case <-a.alarm:
		case <-timer.C:
		}
	}
}

// expire withdraws the filters that lingered long enough and returns the time until the next.
func (a *announcer) expire() (next time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for len(a.due) > 0 {
		if wait := a.due[0].at.Sub(now); wait > 0 {
			return wait
		}
		a.withdrawLocked()
	}
	a.due = nil
	return time.Hour
}

// digestLocked sums up what is announced.
func (a *announcer) digestLocked() frame.Digest {
	if !a.flooded {
		return a.set.digest
	}
	var d frame.Digest
	addTo(&d, "#", floodQoS)
	return d
}

// listen starts telling a link whose far side holds held of what is announced.
func (a *announcer) listen(held frame.Digest, kick func()) *listener {
	l := &listener{kick: kick, changes: map[string]frame.Want{}}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listeners[l] = struct{}{}
	if l.agreed = a.digestLocked() == held; !l.agreed {
		a.restartLocked(l)
	}
	return l
}

// restartLocked makes l tell everything from the start.
func (a *announcer) restartLocked(l *listener) {
	clear(l.changes)
	l.agreed = false
	l.snapshot, l.first, l.sending = nil, true, true
	if a.flooded {
		l.snapshot = []frame.Want{{Filter: "#", QoS: floodQoS}}
	} else {
		l.snapshot = make([]frame.Want, 0, len(a.set.filters))
		for filter, qos := range a.set.filters {
			l.snapshot = append(l.snapshot, frame.Want{Filter: filter, QoS: qos})
		}
	}
	l.kick()
}

func (a *announcer) stop(l *listener) {
	a.mu.Lock()
	delete(a.listeners, l)
	a.mu.Unlock()
}

// pull takes the next frame for l, if there is one. The first one after listen completes what the far side
// needs to know, or starts a snapshot.
func (a *announcer) pull(l *listener) (f frame.Interest, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.sending {
		n := fitting(l.snapshot)
		f = frame.Interest{First: l.first, Last: n == len(l.snapshot), Entries: l.snapshot[:n]}
		l.snapshot, l.first, l.sending = l.snapshot[n:], false, !f.Last
		return f, true
	}
	if l.agreed {
		l.agreed = false
		return f, true
	}
	size := 0
	for filter, w := range l.changes {
		if len(f.Entries) == frame.MaxEntries || size > interestBytes {
			break
		}
		size += len(filter)
		f.Entries = append(f.Entries, w)
		delete(l.changes, filter)
	}
	return f, len(f.Entries) > 0
}

// interestBytes is where an INTEREST frame ends: it may be longer by one filter.
const interestBytes = 128 << 10

// fitting is how many entries go into one frame.
func fitting(entries []frame.Want) int {
	size := 0
	for i, w := range entries {
		if i == frame.MaxEntries || size > interestBytes {
			return i
		}
		size += len(w.Filter)
	}
	return len(entries)
}
