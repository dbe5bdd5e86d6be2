package hlc

import "time"

// Time is a version's time: Unix milliseconds in the upper 48 bits, a count in the lower 16, which runs over into the milliseconds.
// 0 = none.
type Time uint64

const countBits = 16

// First is the Time of what was kept before there were versions: below all that a Clock gives.
const First Time = 1

// At is the first Time of a millisecond.
func At(milli int64) Time { return Time(max(milli, 0)) << countBits }

// Milli is the time in Unix milliseconds.
func (t Time) Milli() int64 { return int64(t >> countBits) }

// Valid reports whether t is a version at all: it is there, and there is room to count above it.
func (t Time) Valid() bool { return t != 0 && t < 1<<63 }

// farthest is how far before the own clock a version may be, in milliseconds: a thousand years, more than any clock is wrong by. It moves
// on with the clock, so whatever is taken can be replaced.
const farthest = 365_250 * 86_400_000

// MayCome reports whether t may come from another node while the own clock shows now, in Unix milliseconds.
func (t Time) MayCome(now int64) bool { return t != 0 && t.Milli() <= max(now, Unset)+farthest }

// Unset is 2025-01-01 in Unix milliseconds: a clock that shows less has not been set.
const Unset int64 = 1735689600000

// Ahead is how far before the own clock a time may be that is gone by.
const Ahead = time.Hour

const ahead = int64(Ahead / time.Millisecond)
