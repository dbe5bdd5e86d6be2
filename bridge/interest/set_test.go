package interest

import (
	"testing"

	"pgregory.net/rapid"
)

// Whatever came and went: sets with the same filters have the same digest, others have not, and Changes leads from one
// to the other.
func TestSetChangesAndDigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() *Set {
			s := new(Set)
			for _, f := range rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", "+/d"})).Draw(t, "filters") {
				if had, existed := s.QoS(f); existed && had == 2 {
					s.Remove(f)
				} else {
					s.Put(f, had+1)
				}
			}
			return s
		}
		from, to := draw(), draw()
		changes := from.Changes(to)
		if same := from.Digest() == to.Digest(); same != (len(changes) == 0) {
			t.Fatalf("got same digest %t with changes %v", same, changes)
		}
		for _, w := range changes {
			if w.Gone {
				from.Remove(w.Filter)
			} else {
				from.Put(w.Filter, w.QoS)
			}
		}
		if from.Digest() != to.Digest() || from.Len() != to.Len() {
			t.Fatalf("got %v after %v, want %v", from.filters, changes, to.filters)
		}
	})
}
