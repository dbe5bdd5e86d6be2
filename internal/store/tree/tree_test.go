package tree

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

type pair struct{ key, value int }

func newPairs() Tree[pair] {
	return New(func(a, b *pair) int { return cmp.Compare(a.key, b.key) })
}

// wantPairs wants the items of m, by get, by size and by cursors from everywhere.
func wantPairs(t *testing.T, tr *Tree[pair], m map[int]int) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(m))
	if tr.Len() != len(m) {
		t.Fatalf("got size %d, want %d", tr.Len(), len(m))
	}
	starts := []int{-1}
	for i := 0; i < len(keys); i += 1 + len(keys)/20 {
		starts = append(starts, keys[i], keys[i]+1)
	}
	for _, from := range starts {
		i, _ := slices.BinarySearch(keys, from)
		for c := tr.Seek(&pair{key: from}); c.Item() != nil; c.Next() {
			if i >= len(keys) || *c.Item() != (pair{keys[i], m[keys[i]]}) {
				t.Fatalf("from %d: got %v at %d of %d", from, *c.Item(), i, len(keys))
			}
			i++
		}
		if i != len(keys) {
			t.Fatalf("from %d: the walk ended at %d of %d", from, i, len(keys))
		}
	}
	for k, v := range m {
		if got := tr.Get(&pair{key: k}); got == nil || got.value != v {
			t.Fatalf("key %d: got %v, want %d", k, got, v)
		}
	}
	if tr.Get(&pair{key: -7}) != nil {
		t.Fatal("got an item that was never added")
	}
}

// Copies stay what they were while the tree changes.
func TestTreeAgainstMap(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			tr, m, e := newPairs(), map[int]int{}, new(Era)
			type kept struct {
				tr Tree[pair]
				m  map[int]int
			}
			var copies []kept
			for n := range 6000 {
				k := r.IntN(1 + r.IntN(3000))
				if seed%2 == 0 && r.IntN(2) == 0 {
					k = n // mostly rising
				}
				if r.IntN(3) == 0 || n > 4500 {
					k = r.IntN(6000)
					tr.Remove(e, &pair{key: k})
					delete(m, k)
				} else {
					tr.Set(e, &pair{k, n})
					m[k] = n
				}
				if r.IntN(1000) == 0 {
					copies = append(copies, kept{tr, maps.Clone(m)})
					e = new(Era)
				}
			}
			wantPairs(t, &tr, m)
			for _, c := range copies {
				wantPairs(t, &c.tr, c.m)
			}
			for k := range m {
				tr.Remove(e, &pair{key: k})
			}
			if tr.Len() != 0 || tr.root != nil {
				t.Errorf("emptied: got size %d, root %v", tr.Len(), tr.root)
			}
			wantPairs(t, &tr, nil)
		})
	}
}

func BenchmarkTree(b *testing.B) {
	tr, e := newPairs(), new(Era)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		tr.Set(e, &pair{n, n})
		if n++; n > 100_000 {
			tr.Remove(e, &pair{key: n - 100_000})
		}
	}
}
