package sim

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Wall is the clock of a machine where somebody sets the wall clock: what Now gives shows another time of day from then on, and goes
// on steadily all the same, as what time.Now gives does. The zero Wall is right. Safe for concurrent use.
type Wall struct{ ahead atomic.Int64 } // seconds

// Set puts the wall clock that far before the right time; negative = behind it. Parts of a second do not count.
func (w *Wall) Set(ahead time.Duration) { w.ahead.Store(int64(ahead / time.Second)) }

// Now is time.Now on such a machine: differences of its times are time that has passed, time of day is what was Set.
func (w *Wall) Now() time.Time {
	t := time.Now()
	// A time.Time with a monotonic reading begins with one bit, 33 bits of seconds of the wall clock and 30 bits of nanoseconds. No
	// exported function changes these and leaves the reading.
	*(*uint64)(unsafe.Pointer(&t)) += uint64(w.ahead.Load()) << 30
	return t
}
