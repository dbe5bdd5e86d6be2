package interest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestShorten(t *testing.T) {
	many := func(format string, n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf(format, i))
		}
		return all
	}
	for _, c := range []struct {
		why     string
		filters []string
		most    int
		want    string
	}{
		{"there is room", []string{"a", "b/c"}, 2, "a b/c"},
		{"one prefix has too many", append(many("dev/%d/cmd", 20), "a/b", "c/#"), 10, "a/b c/# dev/#"},
		{"as deep as fits", append(many("site/1/dev/%d", 20), many("site/2/dev/%d", 3)...), 6, "site/1/dev/# site/2/dev/0 site/2/dev/1 site/2/dev/2"},
		{"nothing in common", many("%d", 20), 10, "#"},
		{"wildcards are levels like others", append(many("+/%d/x", 20), "a/+/b"), 5, "+/# a/+/b"},
		{"a topic goes with those below it", append(many("a/%d", 20), "a", "a-b", "a0/c"), 5, "a-b a/# a0/c"},
		{"empty levels", append(many("//%d", 20), "/", "x"), 3, "//# x"},
	} {
		exact, prefixes := Shorten(c.filters, c.most)
		got := slices.Sorted(slices.Values(append(slices.Clone(exact), prefixes...)))
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", c.why, got, c.want)
		}
	}
}

// genFilters draws filters of few different levels, so that many have prefixes in common.
func genFilters(rt *rapid.T, label string, least, most int) []string {
	level := rapid.SampledFrom([]string{"a", "b", "c", "d", "+", "", "a-"})
	filter := rapid.Custom(func(rt *rapid.T) string {
		f := strings.Join(rapid.SliceOfN(level, 1, 5).Draw(rt, "levels"), "/")
		if rapid.IntRange(0, 5).Draw(rt, "rest") == 0 {
			f += "/#"
		}
		return f
	})
	return rapid.SliceOfNDistinct(filter.Filter(func(f string) bool { return f != "" }), least, most, func(f string) string { return f }).Draw(rt, label)
}

// What is announced covers all filters, is never above the bound, and no prefix of it could be taken apart.
func TestShortenCovers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		filters := genFilters(rt, "filters", 1, 200)
		most := rapid.IntRange(1, 60).Draw(rt, "most")
		exact, prefixes := Shorten(slices.Clone(filters), most)
		shown := map[string]byte{}
		for _, f := range append(slices.Clone(exact), prefixes...) {
			shown[f] = 0
		}
		if len(shown) > most {
			rt.Fatalf("%d filters announced, bound is %d: %v", len(shown), most, shown)
		}
		for _, f := range filters {
			if !Contains(shown, f) {
				rt.Fatalf("%v does not cover %s", shown, f)
			}
		}
		for _, f := range exact {
			if !slices.Contains(filters, f) {
				rt.Fatalf("%s is nobody's filter", f)
			}
		}
		for _, p := range prefixes {
			if parts := partsBelow(filters, strings.TrimSuffix(strings.TrimSuffix(p, "#"), "/"), p == "#"); len(exact)+len(prefixes)-1+parts <= most {
				rt.Fatalf("%s could be taken apart into %d, there are %d of %d", p, parts, len(shown), most)
			}
		}
	})
}

// partsBelow counts the different next levels of the filters with a prefix, and the prefix itself.
func partsBelow(filters []string, prefix string, all bool) int {
	parts := map[string]bool{}
	for _, f := range filters {
		rest, below := strings.CutPrefix(f, prefix+"/")
		switch {
		case all:
			level, _, _ := strings.Cut(f, "/")
			parts["/"+level] = true
		case f == prefix:
			parts[""] = true
		case below:
			level, _, _ := strings.Cut(rest, "/")
			parts["/"+level] = true
		}
	}
	return len(parts)
}

func BenchmarkShorten(b *testing.B) {
	for range b.N {
		b.StopTimer()
		var filters []string
		for i := range 200_000 {
			filters = append(filters, fmt.Sprintf("site/%d/dev/%d/cmd", i%1000, i))
		}
		b.StartTimer()
		Shorten(filters, 100_000)
	}
}
