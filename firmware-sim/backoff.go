package firmwaresim

import (
	"math/rand/v2"
	"time"
)

// Bounds of the wait before a reconnect.
const (
	backoffBase = 250 * time.Millisecond
	backoffCap  = 5 * time.Second
)

// backoff is how long to wait before attempt n (from 0): anything up to a bound that doubles. The full jitter keeps
// a fleet that lost its broker from coming back all at once.
func backoff(n int, rng *rand.Rand) time.Duration {
	bound := backoffCap
	if n < 6 {
		bound = min(backoffBase<<n, backoffCap)
	}
	return time.Duration(rng.Int64N(int64(bound)))
}
