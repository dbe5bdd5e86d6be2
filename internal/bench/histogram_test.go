package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestHistogramBucketsAreNarrowAndInOrder(t *testing.T) {
	for i := range histBuckets - 1 {
		upper := histUpper(i)
		if got := histIndex(uint64(upper)); got != i {
			t.Fatalf("bucket %d ends at %d, which goes into bucket %d", i, upper, got)
		}
		if got := histIndex(uint64(upper) + 1); got != i+1 {
			t.Fatalf("%d goes into bucket %d, want %d", upper+1, got, i+1)
		}
	}
	if got := histIndex(1 << 62); got != histBuckets-1 {
		t.Errorf("a very long duration goes into bucket %d, want the last, %d", got, histBuckets-1)
	}
}

func TestHistogramQuantiles(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("got %d of an empty histogram, want 0", got)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	all := make([]int64, 100_000)
	for i := range all {
		all[i] = rnd.Int64N(1 << (10 + rnd.IntN(20)))
		h.Record(all[i])
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := h.Quantile(q); got < want || float64(got) > float64(want)*(1+1.0/64)+1 {
			t.Errorf("quantile %v: got %d, want %d to %d", q, got, want, want+want/64+1)
		}
	}
	if h.Count() != 100_000 {
		t.Errorf("got %d counted, want 100000", h.Count())
	}
}
