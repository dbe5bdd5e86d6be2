package batch

import (
	"math"
	"time"
)

// Slack is how long after its waiters were told a batch may still be lost in a power cut. Whatever it is, the batch
// is written before: it is there after the process was killed.
//
//	Synced    on stable storage when its waiters are told (the default)
//	a time    written then, on stable storage within that time
//	Unsynced  written then, on stable storage when something else is, or at a checkpoint
type Slack time.Duration

// The ends of the scale.
const (
	Synced   Slack = 0
	Unsynced Slack = math.MaxInt64
)
