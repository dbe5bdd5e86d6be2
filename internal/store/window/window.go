// Package window says how long a store's writer lets batches gather: pure arithmetic on what came when, with no clock
// and no goroutine.
package window

import (
	"math"
	"time"
)

// Window decides how long a group waits for more batches before it is written. Each write costs the device whole
// pages, however small the group, so a busy store should write larger groups; but nobody must be slowed by that.
//
// Two kinds of load look alike from here, many small groups one after the other:
//
//	         sensors publish at their own times            somebody publishes when the last one is acknowledged
//
//	free     ·  · ·  ··  · ·  ·  · ·  ··  · ·  ·          ·  ·  ·  ·  ·  ·  ·  ·  ·  ·  ·  ·
//	         │  │ │  ││  │ │  │  │ │  ││  │ │  │          │  │  │  │  │  │  │  │  │  │  │  │
//	waiting  ·  · ·  ··  · ·  ·  · ·  ··  · ·  ·          ·              ·              ·
//	            └────────┤ └────────┤ └────────┤          └─────────────┤└─────────────┤└────
//	         as many batches in fewer groups              the waiting keeps the next one from coming
//
// What tells them apart is the rate with and without waiting, so the window goes to and fro between the two, and
// compares:
//
//	         enough come, and the rest is over       rate kept: the next one is longer (×4, up to maxTrial)
//	       ┌──────────────────────────────────▶ waiting ──────────────────────────────────┐
//	free ──┤                                       │                                      ├──▶ free, measured anew
//	       └─◀ too few                             └─ rate lost: rest (×2, up to maxRest) ┘
//
// A loss is noticed before it hurts: when half of what the free rate promises stays away, the group is written at
// once, and when that happens twice in a row the waiting ends. So a try costs a committer that waits for each answer
// about 2 × sliceBatches answers, and the rest after it is up to 64 times as long. A group that is worth its pages
// never waits, nor does one that comes when the last write began longer ago than the window, which is what an idle
// store sees.
//
// It is the writer's. It has no clock: now is an argument.
type Window struct {
	Max time.Duration // between the beginnings of two writes; 0 or less = nothing waits

	waiting bool
	since   time.Time     // when the phase began
	first   Tally         // what had come then
	groups  int           // written in it
	bytes   int           // of them
	rest    time.Time     // no waiting before
	trial   time.Duration // how long the next phase of waiting is
	passed  bool          // the last one did well
	fails   int           // so many in a row did not

	rate    float64   // operations a second when nothing waits
	share   float64   // operations in a batch
	chance  float64   // relative error of rate: two standard deviations
	slice   time.Time // while waiting: the promise is counted from here
	sliced  Tally     // what had come then
	struck  time.Time // when the slice began whose promise was the first not to be kept
	strikes int       // such slices in a row

	wroteAt time.Time // the last write began
	askedAt time.Time
	asked   int // the size of the group then
}

// Tally counts what was committed. Rates are measured in operations: a batch may have one of them or many.
type Tally struct{ Batches, Ops uint64 }

const (
	// pageSize is what a write costs at least, in bytes.
	pageSize = 4096

	// worthPages is the size of a group that is written without waiting: of the pages that are written, the one that
	// the next group writes again is a fifth.
	worthPages = 4 * pageSize

	// minGain is how many batches have to be expected in a window.
	minGain = 3

	sampleBatches = 128                    // a first free phase
	sampleAgain   = 64                     // one between phases of waiting
	minSample     = 20 * time.Millisecond  // but a free phase is no shorter,
	maxSample     = 250 * time.Millisecond // nor longer

	trialBatches = 512                    // a first phase of waiting
	firstTrial   = 500 * time.Millisecond // but it is no longer
	maxTrial     = 8 * time.Second        // nor are later ones
	maxRest      = 30 * time.Second

	keptRate     = 0.95 // of the free rate that a phase of waiting has to keep, but for what may be chance
	sliceBatches = 32   // progress is checked each time the free rate would have brought so many; half of them have to be there
	maxStrikes   = 2
)

// Wrote tells that the group is being written.
func (w *Window) Wrote(now time.Time) {
	w.wroteAt = now
	w.groups++
	w.bytes += w.asked
}

// Wait is how long the group of that size, which is not empty, may still wait, when come has been committed so far; 0
// = it is to be written. Ask again when that time is over, and when more has come.
func (w *Window) Wait(now time.Time, come Tally, bytes int) time.Duration {
	if w.Max <= 0 {
		return 0
	}
	switch idle := now.Sub(w.askedAt) > maxSample; {
	case idle: // nobody was kept waiting: that tells nothing
		w.enter(false, now, come)
	case !w.waiting:
		w.sample(now, come)
	case now.Sub(w.since) >= w.trial:
		w.judge(now, come)
	}
	w.askedAt, w.asked = now, bytes
	left := w.Max - now.Sub(w.wroteAt)
	if !w.waiting || left <= 0 || bytes >= worthPages {
		return 0
	}
	return min(left, w.promised(now, come))
}

// enter begins the next phase.
func (w *Window) enter(waiting bool, now time.Time, come Tally) {
	w.waiting, w.since, w.first = waiting, now, come
	w.groups, w.bytes = 0, 0
	w.slice, w.sliced, w.strikes = now, come, 0
}

// sample measures the free rate, and begins to wait when that promises something.
func (w *Window) sample(now time.Time, come Tally) {
	took, batches := now.Sub(w.since), come.Batches-w.first.Batches
	enough := uint64(sampleBatches)
	if w.passed {
		enough = sampleAgain
	}
	if took < minSample || batches < enough && took < maxSample {
		return
	}
	w.rate = perSecond(come.Ops-w.first.Ops, took)
	w.share = float64(come.Ops-w.first.Ops) / float64(max(1, batches))
	w.chance = 2 / math.Sqrt(float64(max(1, batches))) // two standard deviations of what comes independently
	if !w.passed {
		w.trial = min(max(minSample, trialBatches*took/time.Duration(max(1, batches))), firstTrial)
	}
	small := w.bytes < w.groups*worthPages/2
	w.enter(small && perSecond(batches, took)*w.Max.Seconds() >= minGain && !now.Before(w.rest), now, come)
}

func perSecond(n uint64, took time.Duration) float64 { return float64(n) / took.Seconds() }

// judge ends a phase of waiting.
func (w *Window) judge(now time.Time, come Tally) {
	if perSecond(come.Ops-w.first.Ops, now.Sub(w.since)) < (keptRate-w.chance)*w.rate {
		w.fail(min(w.trial, firstTrial), now, come)
		return
	}
	w.passed, w.fails, w.trial = true, 0, min(4*w.trial, maxTrial)
	w.enter(false, now, come)
}

// fail ends a phase of waiting that has cost something for so long.
func (w *Window) fail(cost time.Duration, now time.Time, come Tally) {
	w.rest = now.Add(min(cost*4<<w.fails, maxRest))
	w.passed, w.fails = false, min(w.fails+1, 4)
	w.enter(false, now, come)
}

// promised is how long to wait until half of what the free rate promises has to be there; 0 = it has to be and is not.
func (w *Window) promised(now time.Time, come Tally) time.Duration {
	whole := sliceBatches * w.share
	promise := w.rate * now.Sub(w.slice).Seconds()
	due := max(whole, 2*float64(come.Ops-w.sliced.Ops)+w.share)
	if promise >= due {
		if w.strikes == 0 {
			w.struck = w.slice
		}
		w.slice, w.sliced = now, come
		if w.strikes++; w.strikes == maxStrikes {
			w.fail(now.Sub(w.struck), now, come)
		}
		return 0
	}
	if promise >= whole { // kept: the next slice
		w.slice, w.sliced, w.strikes = now, come, 0
		promise, due = 0, whole
	}
	return time.Duration((due-promise)/w.rate*float64(time.Second)) + 1
}
