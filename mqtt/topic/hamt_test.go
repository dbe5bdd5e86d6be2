package topic

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHamtWithCollidingHashes drives the map with hashes that agree in many or all bits.
func TestHamtWithCollidingHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mask := rapid.SampledFrom([]uint64{0, 1, 3 << 62, 0xFF << 10, ^uint64(0)}).Draw(t, "mask")
		hash := func(key int) uint64 { return uint64(key) * 0x9E3779B97F4A7C15 & mask }
		type pair = entry[int, int]
		by := keys[pair]{func(p pair) uint64 { return hash(p.key) }, func(a, b pair) bool { return a.key == b.key }}
		var h *hamt[pair]
		model := map[int]int{}
		key := rapid.IntRange(0, 60)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.Int().Draw(t, "v")
				h, model[k] = h.set(by, pair{k, v}, hash(k), 0), v
			},
			"without": func(t *rapid.T) {
				k := key.Draw(t, "key")
				_, had := model[k]
				less := h.without(by, pair{key: k}, hash(k), 0)
				if (less != h) != had {
					t.Fatalf("without %d changed: got %v, want %v", k, less != h, had)
				}
				h = less
				delete(model, k)
			},
			"": func(t *rapid.T) { wantPairs(t, h, model, hash) },
		})
	})
}

func wantPairs(t *rapid.T, h *hamt[entry[int, int]], model map[int]int, hash func(int) uint64) {
	if (h == nil) != (len(model) == 0) {
		t.Fatalf("got nil %v, want %d pairs", h == nil, len(model))
	}
	seen := 0
	h.each(func(some []entry[int, int]) {
		for _, p := range some {
			seen++
			if want, ok := model[p.key]; !ok || want != p.value {
				t.Fatalf("each: got %d=%d, want %d (%v)", p.key, p.value, want, ok)
			}
		}
	})
	if seen != len(model) {
		t.Fatalf("each: got %d pairs, want %d", seen, len(model))
	}
	for k, want := range model {
		found := h.find(hash(k))
		if i := slices.IndexFunc(found, func(p entry[int, int]) bool { return p.key == k }); i < 0 || found[i].value != want {
			t.Fatalf("find %d: got %v, want %d", k, found, want)
		}
	}
	if h == nil {
		return
	}
	if _, alone := h.only(); alone != (len(model) == 1) {
		t.Fatalf("only: got %v with %d items", alone, len(model))
	}
}
