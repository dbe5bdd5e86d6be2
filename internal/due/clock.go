package due

import "time"

// Clock turns deadlines into stored time and back. Stored time counts milliseconds that have
// passed: what is stored expires neither sooner nor later because somebody set the wall clock.
//
// *store.Store is one, over restarts too: see store.Store.Stamp. Safe for concurrent use.
type Clock interface {
	// Stamp returns t in stored time.
	Stamp(t time.Time) int64

	// Time returns what Stamp was made of, as seen from now.
	Time(stamp int64) time.Time
}

// ClockOf returns store, or Unix when store is nil: what is not stored needs no time of its own.
func ClockOf[S interface {
	comparable
	Clock
}](store S) Clock {
	var none S
	if store == none {
		return Unix{}
	}
	return store
}

// Unix is the Clock of who has no store: stored time is Unix milliseconds.
type Unix struct{}

// Stamp implements Clock.
func (Unix) Stamp(t time.Time) int64 { return t.UnixMilli() }

// Time implements Clock.
func (Unix) Time(stamp int64) time.Time { return time.UnixMilli(stamp) }
