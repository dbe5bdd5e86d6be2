package topic

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

type entry struct {
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
		model := map[entry]int{}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				e, v := entry{filter.Draw(t, "filter"), key.Draw(t, "key")}, rapid.Int().Draw(t, "v")
				was, had := model[e]
				gen := tree.Generation()
				if old, got := tree.Set(e.filter, e.key, v); old != was || got != had || tree.Generation() == gen {
					t.Fatalf("Set: got %d, %v before, want %d, %v", old, got, was, had)
				}
				model[e] = v
			},
			"delete": func(t *rapid.T) {
				e := entry{filter.Draw(t, "filter"), key.Draw(t, "key")}
				was, had := model[e]
				gen := tree.Generation()
				if old, got := tree.Delete(e.filter, e.key); old != was || got != had || (tree.Generation() != gen) != had {
					t.Fatalf("Delete: got %d, %v before, want %d, %v", old, got, was, had)
				}
				delete(model, e)
			},
			"match": func(t *rapid.T) {
				wantMatch(t, &tree, model, name.Draw(t, "name"))
			},
			"": func(t *rapid.T) {
				if tree.Len() != len(model) || tree.root.empty() != (len(model) == 0) {
					t.Fatalf("got %d entries, want %d; root empty %v", tree.Len(), len(model), tree.root.empty())
				}
			},
		})
		for e := range model {
			tree.Delete(e.filter, e.key)
		}
		if !tree.root.empty() {
			t.Fatal("branches are left after everything was deleted")
		}
	})
}

func wantMatch(t *rapid.T, tree *Tree[int, int], model map[entry]int, name string) {
	want := map[[2]int]int{}
	for e, v := range model {
		if Match(e.filter, name) {
			want[[2]int{e.key, v}]++
		}
	}
	tree.Match(name, func(key, v int) { want[[2]int{key, v}]-- })
	for kv, n := range want {
		if n != 0 {
			t.Fatalf("%q, entry %v: visited %d times too few", name, kv, n)
		}
	}
}

// TestTreeReadersAndWriters holds that an entry which is not touched is found by every Match, while
// entries beside it on the same branch come and go.
func TestTreeReadersAndWriters(t *testing.T) {
	var tree Tree[int, int]
	tree.Set("site/+/temp", -1, 1)
	tree.Set("site/7/temp", -2, 1)
	var stop atomic.Bool
	var writers, readers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := range 5000 {
				filter := fmt.Sprintf("site/%d/temp", i%50)
				tree.Set(filter, w, i)
				tree.Set("site/#", w, i)
				tree.Delete(filter, w)
				tree.Delete("site/#", w)
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for !stop.Load() {
				fixed := 0
				tree.Match("site/7/temp", func(key, _ int) {
					if key < 0 {
						fixed++
					}
				})
				if fixed != 2 {
					t.Errorf("got %d of the entries that stay, want 2", fixed)
					return
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	if tree.Len() != 2 {
		t.Errorf("got %d entries, want 2", tree.Len())
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
