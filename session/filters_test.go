package session

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestFilters compares the set with a map, from none to more than a list holds and back.
func TestFilters(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var f filters
		want := map[string]bool{}
		for i, n := 0, rapid.IntRange(1, 4*fewFilters).Draw(rt, "steps"); i < n; i++ {
			filter := fmt.Sprint("f/", rapid.IntRange(0, 2*fewFilters).Draw(rt, "filter"))
			if rapid.IntRange(0, 3).Draw(rt, "remove") == 0 {
				f.remove(filter)
				delete(want, filter)
			} else {
				f.add(filter)
				want[filter] = true
			}
			var got []string
			f.each(func(s string) { got = append(got, s) })
			slices.Sort(got)
			if len(slices.Compact(got)) != len(want) || f.len() != len(want) || slices.ContainsFunc(got, func(s string) bool { return !want[s] }) {
				rt.Fatalf("got %d filters %q, want %v", f.len(), got, want)
			}
		}
		for filter := range want {
			f.remove(filter)
		}
		if f != (filters{}) {
			rt.Fatalf("got %+v, want nothing left", f)
		}
	})
}
