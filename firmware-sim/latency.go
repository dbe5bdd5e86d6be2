package firmwaresim

import (
	"math/bits"
	"sync"
	"time"
)

// Latency is the time from the moment a device made a message to the moment the verifier had it, in
// milliseconds.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// Each power of two of microseconds has this many buckets: quantiles are right to about 3 %.
const (
	subBits    = 5
	subBuckets = 1 << subBits
)

// latencies is a histogram of fixed size. Safe for concurrent use.
type latencies struct {
	mu      sync.Mutex
	buckets [40 * subBuckets]uint64
	count   uint64
	max     time.Duration
}

func (l *latencies) add(d time.Duration) {
	d = max(d, 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buckets[min(bucket(uint64(d/time.Microsecond)), len(l.buckets)-1)]++
	l.count++
	l.max = max(l.max, d)
}

// merge adds what o holds.
func (l *latencies) merge(o *latencies) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, n := range o.buckets {
		l.buckets[i] += n
	}
	l.count += o.count
	l.max = max(l.max, o.max)
}

func (l *latencies) summary() Latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Latency{P50: l.quantileLocked(0.50), P99: l.quantileLocked(0.99), Max: milliseconds(l.max)}
}

func (l *latencies) quantileLocked(q float64) float64 {
	if l.count == 0 {
		return 0
	}
	rank, seen := uint64(q*float64(l.count-1)), uint64(0)
	for i, n := range l.buckets {
		if seen += n; seen > rank {
			return min(float64(lowest(i+1))/1000, milliseconds(l.max))
		}
	}
	return milliseconds(l.max)
}

// bucket is the place of v: linear up to subBuckets, then subBuckets for each power of two.
func bucket(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift*subBuckets + int(v>>shift)
}

// lowest is the smallest value in bucket i.
func lowest(i int) uint64 {
	if i < subBuckets {
		return uint64(i)
	}
	shift := i/subBuckets - 1
	return uint64(i-shift*subBuckets) << shift
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
