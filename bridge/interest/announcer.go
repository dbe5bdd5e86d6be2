package interest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/bell"
	"mangrove/mqtt/topic"
)

// Announcer knows what this node tells its links that it wants.
//
//	Router.Interest ─ Changed → set ─┬→ Follower: snapshot, then changes ─ Pull → INTEREST frames
//	                  └ no longer wanted: leaving, until linger has passed
//
// A filter stays announced for linger after its last subscriber left: clients that come and go do not make the whole
// fleet change its mind each time. Above max filters prefixes are announced in place of many (short.go): more than is wanted may come
// then, but nothing is missed. When more than max linger, those that left first go at once. A follower for which more
// than max changes wait is told everything anew instead.
//
// The Router calls Changed with its locks held; nothing here calls the Router. Safe for concurrent use.
type Announcer struct {
	linger time.Duration
	max    int
	now    func() time.Time
	leaves bell.Bell // due has a first entry

	withdrawn atomic.Uint64 // how many filters were

	mu        sync.Mutex
	set       Set // what is wanted, or leaving
	leaving   map[string]time.Time
	due       []leaver // in the order of their times, at most 2 max; some are wanted again
	followers map[*Follower]struct{}
	short     *short // what is announced in place of set; nil = set is
}

// leaver is a filter that is withdrawn at its time, unless it is wanted again by then.
type leaver struct {
	filter string
	at     time.Time
}

// NewAnnouncer makes one that announces up to maxFilters filters, with prefixes among them where there are more. Its user gives Changed to the Router
// and calls Run.
func NewAnnouncer(linger time.Duration, maxFilters int, now func() time.Time) *Announcer {
	return &Announcer{
		linger:    linger,
		max:       maxFilters,
		now:       now,
		leaves:    bell.New(),
		leaving:   map[string]time.Time{},
		followers: map[*Follower]struct{}{},
	}
}

// Changed is the function for Router.Interest: filter is wanted with qos from now on, or by nobody any more.
func (a *Announcer) Changed(filter string, qos byte, wanted bool) {
	if !topic.Crosses(filter) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !wanted {
		a.leaveLocked(filter)
		return
	}
	delete(a.leaving, filter)
	if had, existed := a.set.Put(filter, qos); !existed || had != qos {
		a.wantLocked(filter, qos, !existed)
	}
}

// wantLocked has a filter of set announced, which is new or has another QoS.
func (a *Announcer) wantLocked(filter string, qos byte, isNew bool) {
	told := true
	if a.short != nil {
		told = a.short.add(filter, qos, isNew, a.set.Len())
	}
	switch {
	case a.announcedSetLocked().Len() > a.max:
		a.shortenLocked()
	case told:
		a.tellLocked(frame.Want{Filter: filter, QoS: qos})
	}
}

func (a *Announcer) leaveLocked(filter string) {
	at := a.now().Add(a.linger)
	a.leaving[filter] = at
	a.due = append(a.due, leaver{filter, at})
	for len(a.leaving) > a.max {
		a.withdrawLocked()
	}
	if len(a.due) > 2*a.max {
		a.due = slices.DeleteFunc(a.due, func(d leaver) bool { return !a.leavesLocked(d) })
	}
	a.leaves.Ring()
}

// leavesLocked tells whether d's filter has not been wanted since.
func (a *Announcer) leavesLocked(d leaver) bool {
	at, leaves := a.leaving[d.filter]
	return leaves && at.Equal(d.at)
}

// withdrawLocked takes out the filter that left first, unless it was wanted since.
func (a *Announcer) withdrawLocked() {
	d := a.due[0]
	a.due = a.due[1:]
	if a.leavesLocked(d) {
		delete(a.leaving, d.filter)
		a.set.Remove(d.filter)
		a.withdrawn.Add(1)
		gone := d.filter
		if a.short != nil {
			gone = a.short.remove(d.filter)
		}
		if gone != "" {
			a.tellLocked(frame.Want{Filter: gone, Gone: true})
		}
	}
}

// tellLocked passes a change of what is announced on to the followers.
func (a *Announcer) tellLocked(w frame.Want) {
	for f := range a.followers {
		f.changeLocked(w)
	}
}

// shortenLocked finds anew what is announced, and tells all of it.
func (a *Announcer) shortenLocked() {
	a.short = newShort(&a.set, a.max)
	for f := range a.followers {
		f.restartLocked()
	}
	a.leaves.Ring() // Run tells
}

// Run withdraws filters that have lingered long enough, until ctx ends. It calls tell when prefixes are announced in place of filters, and when that
// is over.
func (a *Announcer) Run(ctx context.Context, tell func(Size)) {
	told := Size{}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(a.expire())
		if size := a.Size(); (size.Prefixes > 0) != (told.Prefixes > 0) {
			told = size
			tell(size)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.leaves:
		case <-timer.C:
		}
	}
}

// expire withdraws the filters that lingered long enough and returns the time until the next.
func (a *Announcer) expire() (next time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	defer a.refineLocked()
	for len(a.due) > 0 {
		if wait := a.due[0].at.Sub(now); wait > 0 {
			return wait
		}
		a.withdrawLocked()
	}
	a.due = nil
	return time.Hour
}

// refineLocked announces less in prefixes, when enough has been withdrawn.
func (a *Announcer) refineLocked() {
	if a.short != nil && a.short.shrunk(a.set.Len(), a.max) {
		a.shortenLocked()
	}
}

// announcedSetLocked is what is announced.
func (a *Announcer) announcedSetLocked() *Set {
	if a.short != nil {
		return &a.short.set
	}
	return &a.set
}

// digestLocked sums up what is announced.
func (a *Announcer) digestLocked() (d frame.Digest) { return a.announcedSetLocked().Digest() }

// announcedLocked lists what is announced.
func (a *Announcer) announcedLocked() []frame.Want {
	announced := a.announcedSetLocked()
	all := make([]frame.Want, 0, announced.Len())
	for filter, qos := range announced.All() {
		all = append(all, frame.Want{Filter: filter, QoS: qos})
	}
	return all
}

// Size is how much is wanted, and announced.
type Size struct {
	Filters   int    // that are wanted
	Announced int    // filters and prefixes
	Prefixes  int    // of these, prefixes that stand for several filters; 0 = all are announced as they are
	Widest    string // the prefix that stands for the most
}

// Size tells it.
func (a *Announcer) Size() Size {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Size{Filters: a.set.Len(), Announced: a.announcedSetLocked().Len()}
	if a.short != nil {
		s.Prefixes, s.Widest = a.short.size()
	}
	return s
}

// Withdrawn is how many filters were withdrawn so far.
func (a *Announcer) Withdrawn() uint64 { return a.withdrawn.Load() }
