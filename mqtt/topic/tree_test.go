package topic

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

type place struct {
	filter string
	key    int
}

// TestTreeAgainstModel compares a tree with a map whose entries are matched one by one.
func TestTreeAgainstModel(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "c", "", "$d", "long level"})
	filterLevel := rapid.OneOf(level, rapid.Just("+"))
	name := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(level, 1, 5).Draw(t, "levels"), "/")
	})
	filter := rapid.Custom(func(t *rapid.T) string {
		f := rapid.SliceOfN(filterLevel, 0, 4).Draw(t, "levels")
		if len(f) == 0 || rapid.Bool().Draw(t, "hash") {
			f = append(f, "#")
		}
		return strings.Join(f, "/")
	})
	key := rapid.IntRange(0, 40)
	rapid.Check(t, func(t *rapid.T) {
		var tree Tree[int, int]
		model := map[place]int{}
		// held draws what is there, when there is something: what is drawn freely hardly ever is.
		held := func(t *rapid.T) place {
			p := place{filter.Draw(t, "filter"), key.Draw(t, "key")}
			if len(model) > 0 && rapid.Bool().Draw(t, "held") {
				all := slices.SortedFunc(maps.Keys(model), func(a, b place) int {
					return cmp.Or(cmp.Compare(a.filter, b.filter), cmp.Compare(a.key, b.key))
				})
				p = rapid.SampledFrom(all).Draw(t, "which")
			}
			return p
		}
		set := func(t *rapid.T, p place) {
			v := rapid.Int().Draw(t, "v")
			was, had := model[p]
			gen := tree.Generation()
			if old, got := tree.Set(p.filter, p.key, v); old != was || got != had || tree.Generation() == gen {
				t.Fatalf("Set: got %d, %v before, want %d, %v", old, got, was, had)
			}
			model[p] = v
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) { set(t, place{filter.Draw(t, "filter"), key.Draw(t, "key")}) },
			"set beside": func(t *rapid.T) { // another key, another value, or another filter further down
				p := held(t)
				if rapid.Bool().Draw(t, "key too") {
					p.key = key.Draw(t, "key")
				}
				if !strings.HasSuffix(p.filter, "#") && rapid.Bool().Draw(t, "below") {
					p.filter += "/" + filter.Draw(t, "filter")
				}
				set(t, p)
			},
			"delete": func(t *rapid.T) {
				p := held(t)
				was, had := model[p]
				gen := tree.Generation()
				if old, got := tree.Delete(p.filter, p.key); old != was || got != had || (tree.Generation() != gen) != had {
					t.Fatalf("Delete: got %d, %v before, want %d, %v", old, got, was, had)
				}
				delete(model, p)
			},
			"match": func(t *rapid.T) {
				wantMatch(t, &tree, model, name.Draw(t, "name"))
			},
			"under": func(t *rapid.T) {
				filter := held(t).filter
				got, want := map[place]int{}, maps.Clone(model)
				tree.Under(filter, func(key, v int) { got[place{filter, key}] = v })
				maps.DeleteFunc(want, func(p place, _ int) bool { return p.filter != filter })
				if !maps.Equal(got, want) {
					t.Fatalf("Under %q: got %v, want %v", filter, got, want)
				}
			},
			"": func(t *rapid.T) {
				got, visits := map[place]int{}, 0
				tree.All(func(filter string, key, v int) {
					got[place{filter, key}] = v
					visits++
				})
				if !maps.Equal(got, model) || visits != len(model) || tree.Len() != len(model) {
					t.Fatalf("All: got %v in %d visits, Len %d, want %v", got, visits, tree.Len(), model)
				}
				wantSmallest(t, &tree.root)
			},
		})
		for p := range model {
			tree.Delete(p.filter, p.key)
		}
		if !empty(&tree) {
			t.Fatal("branches are left after everything was deleted")
		}
	})
}

// wantSmallest holds that there are no more nodes than filters part at, below the root.
func wantSmallest(t *rapid.T, n *node[int, int]) {
	check := func(b *branch[int, int]) {
		if below := b.below(); below != nil {
			if left, several := below.left(); !several && (left == nil || left.below() == nil) {
				t.Fatalf("a node at level %q has but a leaf below it, or nothing", b.filter)
			}
			wantSmallest(t, below)
		} else if b.more != nil {
			if _, alone := b.more.entries.Load().only(); alone {
				t.Fatalf("the leaf of %q has a set of a single entry", b.filter)
			}
		}
	}
	for _, b := range []*branch[int, int]{n.end.Load(), n.hash.Load(), n.plus.Load()} {
		if b != nil {
			check(b)
		}
	}
	n.kids.Load().each(func(some []*branch[int, int]) {
		for _, b := range some {
			check(b)
		}
	})
}

func empty[K comparable, V any](tree *Tree[K, V]) bool {
	b, several := tree.root.left()
	return b == nil && !several
}

func wantMatch(t *rapid.T, tree *Tree[int, int], model map[place]int, name string) {
	want := map[[2]int]int{}
	for p, v := range model {
		if Match(p.filter, name) {
			want[[2]int{p.key, v}]++
		}
	}
	tree.Match(name, func(key, v int) { want[[2]int{key, v}]-- })
	for kv, n := range want {
		if n != 0 {
			t.Fatalf("%q, entry %v: visited %d times too few", name, kv, n)
		}
	}
}

// TestTreeReadersAndWriters holds that entries which are not touched are found once by every Match, All and Under, while
// entries beside them come and go: of the same filter, of filters that part from theirs at each level, and below.
func TestTreeReadersAndWriters(t *testing.T) {
	var tree Tree[int, int]
	stay := []string{"site/+/temp/now", "site/7/temp/now", "site/7/#", "+/7/temp/#", "#"}
	for i, filter := range stay {
		tree.Set(filter, -1, i)
	}
	moving := []string{"site/7/temp/now", "site/7/temp", "site/7/temp/then", "site/7", "site", "site/7/temp/now/#", "site/+/temp/+",
		"site/+/temp/now", "site/+", "site/7/#", "+/7/temp/#", "+/7/#", "#", "+", "other"}
	var stop atomic.Bool
	var writers, readers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := range 20_000 {
				filter := moving[(i*(w+3)+i/len(moving))%len(moving)]
				if _, existed := tree.Set(filter, w, i); existed {
					tree.Delete(filter, w)
				}
				tree.Set(fmt.Sprintf("site/%d/temp/now", 8+i%50), w, i)
				tree.Delete(fmt.Sprintf("site/%d/temp/now", 8+i%50), w)
			}
			for _, filter := range moving {
				tree.Delete(filter, w)
			}
		})
	}
	read := func(what string, visit func(found func(key, v int))) {
		readers.Go(func() {
			for !stop.Load() {
				var seen [5]int
				visit(func(key, v int) {
					if key < 0 {
						seen[v]++
					}
				})
				if seen != [...]int{1, 1, 1, 1, 1} {
					t.Errorf("%s: got those that stay %v times, want once each", what, seen)
					return
				}
			}
		})
	}
	read("Match", func(found func(key, v int)) { tree.Match("site/7/temp/now", found) })
	read("All", func(found func(key, v int)) { tree.All(func(_ string, key, v int) { found(key, v) }) })
	read("Under", func(found func(key, v int)) {
		for _, filter := range stay {
			tree.Under(filter, found)
		}
	})
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	if tree.Len() != len(stay) {
		t.Errorf("got %d entries, want %d", tree.Len(), len(stay))
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	tree := bigTree(1000)
	tree.Set("site/+/device/5/#", 1, 1)
	tree.Set("#", 2, 1)
	found := 0
	allocs := testing.AllocsPerRun(100, func() {
		tree.Match("site/5/device/5/temp", func(int, int) { found++ })
	})
	if allocs != 0 || found == 0 {
		t.Errorf("got %v allocations and %d entries, want 0 and some", allocs, found)
	}
	if allocs := testing.AllocsPerRun(100, func() { Match("site/+/device/5/#", "site/5/device/5/temp") }); allocs != 0 {
		t.Errorf("Match: got %v allocations, want 0", allocs)
	}
}

// bigTree has n filters below sites of 1,000 devices each.
func bigTree(n int) *Tree[int, int] {
	tree := new(Tree[int, int])
	for i := range n {
		tree.Set(fmt.Sprintf("site/%d/device/%d/temp", i/1000, i%1000), i, i)
	}
	return tree
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tree := bigTree(n)
			b.ReportAllocs()
			found := 0
			for b.Loop() {
				tree.Match("site/0/device/7/temp", func(int, int) { found++ })
			}
			if found != b.N {
				b.Fatalf("found %d, want %d", found, b.N)
			}
		})
	}
}

// BenchmarkMatchInTurn is a hundred thousand names, so that the processor's caches do not hold the tree.
func BenchmarkMatchInTurn(b *testing.B) {
	tree, names := bigTree(1_000_000), make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprintf("site/%d/device/%d/temp", i*7%1000, i%997)
	}
	b.ReportAllocs()
	i, found := 0, 0
	for b.Loop() {
		tree.Match(names[i%len(names)], func(int, int) { found++ })
		i++
	}
	if found != b.N {
		b.Fatalf("found %d, want %d", found, b.N)
	}
}

// BenchmarkMatchFan is one filter with many subscribers.
func BenchmarkMatchFan(b *testing.B) {
	tree := new(Tree[int, int])
	for i := range 100_000 {
		tree.Set("all", i, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		tree.Match("all", func(int, int) {})
	}
}

func BenchmarkSetDelete(b *testing.B) {
	trees := []struct {
		name   string
		tree   func() *Tree[int, int]
		filter func(int) string
	}{
		{"devices-1M", func() *Tree[int, int] { return bigTree(1_000_000) },
			func(i int) string { return fmt.Sprintf("site/%d/device/%d/set", i%1000, i%997) }},
		{"siblings-1M", func() *Tree[int, int] {
			tree := new(Tree[int, int])
			for i := range 1_000_000 {
				tree.Set(fmt.Sprint(i), 0, 0)
			}
			return tree
		}, func(i int) string { return fmt.Sprint("x", i%1000) }},
		{"one-filter-1M", func() *Tree[int, int] {
			tree := new(Tree[int, int])
			for i := range 1_000_000 {
				tree.Set("all", i, 0)
			}
			return tree
		}, func(int) string { return "all" }},
	}
	for _, c := range trees {
		b.Run(c.name, func(b *testing.B) {
			tree := c.tree()
			filters := make([]string, 1000)
			for i := range filters {
				filters[i] = c.filter(i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				tree.Set(filters[i%1000], -1, 0)
				tree.Delete(filters[i%1000], -1)
				i++
			}
		})
	}
}
