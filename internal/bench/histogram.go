package bench

import "math/bits"

// Histogram counts durations in buckets that are never wider than 1/64 of their value. Its size is
// fixed: 0 ns to about 73 minutes, and what is longer counts as that.
//
//	0 … 127          one bucket each
//	128 … 2^42       64 buckets for each doubling
type Histogram struct {
	counts [histBuckets]uint64
	total  uint64
	max    int64
}

const (
	histBits    = 6 // 1<<histBits buckets for each doubling
	histTop     = 42
	histBuckets = (histTop - histBits + 1) << histBits
)

// Record adds one duration in nanoseconds; below zero counts as zero.
func (h *Histogram) Record(ns int64) {
	ns = max(ns, 0)
	h.counts[histIndex(uint64(ns))]++
	h.total++
	h.max = max(h.max, ns)
}

// Quantile is the duration, in nanoseconds, that a share q of the recorded ones do not exceed; 0 when
// there are none.
func (h *Histogram) Quantile(q float64) int64 {
	want := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen > want || seen == h.total && n > 0 {
			return min(histUpper(i), h.max)
		}
	}
	return 0
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

func histIndex(v uint64) int {
	shift := bits.Len64(v) - histBits - 1
	if shift <= 0 {
		return int(v)
	}
	if shift+histBits+1 > histTop {
		return histBuckets - 1
	}
	return shift<<histBits + int(v>>shift)
}

// histUpper is the largest value of bucket i.
func histUpper(i int) int64 {
	if i < 2<<histBits {
		return int64(i)
	}
	shift := i>>histBits - 1
	return int64(i-shift<<histBits+1)<<shift - 1
}
