package interest

import "mangrove/bridge/frame"

// Follower is one link's place in what an Announcer has told it. Its fields are guarded by the Announcer's mu.
//
//	Follow ─┬ digests agree ─→ one empty frame ─┬→ changes
//	        └ they do not ───→ snapshot ────────┘   │ too many wait, or prefixes take the place of filters: snapshot again
type Follower struct {
	a    *Announcer
	kick func()

	snapshot []frame.Want // still to be sent
	first    bool         // the next frame starts the snapshot
	sending  bool         // a snapshot is under way
	agreed   bool         // no snapshot was needed: an empty frame says so
	changes  map[string]frame.Want
}

// Follow starts telling a link whose far side holds held of what is announced. kick tells it that there is something to
// pull; it is called with locks held, and must not block. Stop must follow.
func (a *Announcer) Follow(held frame.Digest, kick func()) *Follower {
	f := &Follower{a: a, kick: kick, changes: map[string]frame.Want{}}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.followers[f] = struct{}{}
	if f.agreed = a.digestLocked() == held; !f.agreed {
		f.restartLocked()
	}
	return f
}

// restartLocked makes f tell everything from the start.
func (f *Follower) restartLocked() {
	clear(f.changes)
	f.agreed = false
	f.snapshot, f.first, f.sending = f.a.announcedLocked(), true, true
	f.kick()
}

// changeLocked notes a change to be told.
func (f *Follower) changeLocked(w frame.Want) {
	if f.changes[w.Filter] = w; len(f.changes) > f.a.max {
		f.restartLocked()
		return
	}
	f.kick()
}

// Pull takes the next frame, if there is one. The first one after Follow completes what the far side needs to know, or
// starts a snapshot. It ends at maxBytes of filters: it may be longer by one.
func (f *Follower) Pull(maxBytes int) (next frame.Interest, ok bool) {
	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	if f.sending {
		n := fitting(f.snapshot, maxBytes)
		next = frame.Interest{First: f.first, Last: n == len(f.snapshot), Entries: f.snapshot[:n]}
		f.snapshot, f.first, f.sending = f.snapshot[n:], false, !next.Last
		return next, true
	}
	if f.agreed {
		f.agreed = false
		return next, true
	}
	size := 0
	for filter, w := range f.changes {
		if len(next.Entries) == frame.MaxEntries || size > maxBytes {
			break
		}
		size += len(filter)
		next.Entries = append(next.Entries, w)
		delete(f.changes, filter)
	}
	return next, len(next.Entries) > 0
}

// fitting is how many entries go into one frame.
func fitting(entries []frame.Want, maxBytes int) int {
	size := 0
	for i, w := range entries {
		if i == frame.MaxEntries || size > maxBytes {
			return i
		}
		size += len(w.Filter)
	}
	return len(entries)
}

// Told sums up what was pulled since Follow, together with what the far side held then. ok is false while there is more to pull.
func (f *Follower) Told() (d frame.Digest, ok bool) {
	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	return f.a.digestLocked(), !f.sending && !f.agreed && len(f.changes) == 0
}

// Announced lists what is announced, in any order. ok is false while there is more to pull.
func (f *Follower) Announced() (filters []string, ok bool) {
	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	if f.sending || f.agreed || len(f.changes) > 0 {
		return nil, false
	}
	for _, w := range f.a.announcedLocked() {
		filters = append(filters, w.Filter)
	}
	return filters, true
}

// Again makes f tell everything once more.
func (f *Follower) Again() {
	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	f.restartLocked()
}

// Stop ends the following. It may be called once.
func (f *Follower) Stop() {
	f.a.mu.Lock()
	delete(f.a.followers, f)
	f.a.mu.Unlock()
}
