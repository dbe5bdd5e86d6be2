package topic

import (
	"testing"

	"pgregory.net/rapid"
)

// TestHamtWithCollidingHashes drives the map with hashes that agree in many or all bits.
func TestHamtWithCollidingHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mask := rapid.SampledFrom([]uint64{0, 1, 3 << 62, 0xFF << 10, ^uint64(0)}).Draw(t, "mask")
		hash := func(key int) uint64 { return uint64(key) * 0x9E3779B97F4A7C15 & mask }
		var h *hamt[int, int]
		model := map[int]int{}
		key := rapid.IntRange(0, 60)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.Int().Draw(t, "v")
				was, had := model[k]
				with, old, existed := h.set(pair[int, int]{k, v, hash(k)}, 0)
				if old != was || existed != had {
					t.Fatalf("set %d: got %d, %v before, want %d, %v", k, old, existed, was, had)
				}
				h, model[k] = with, v
			},
			"without": func(t *rapid.T) {
				k := key.Draw(t, "key")
				_, had := model[k]
				less := h.without(hash(k), k, 0)
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

func wantPairs(t *rapid.T, h *hamt[int, int], model map[int]int, hash func(int) uint64) {
	if (h == nil) != (len(model) == 0) {
		t.Fatalf("got nil %v, want %d pairs", h == nil, len(model))
	}
	seen := 0
	h.each(func(k, v int) {
		seen++
		if want, ok := model[k]; !ok || want != v {
			t.Fatalf("each: got %d=%d, want %d (%v)", k, v, want, ok)
		}
	})
	if seen != len(model) {
		t.Fatalf("each: got %d pairs, want %d", seen, len(model))
	}
	for k, want := range model {
		if v, ok := h.get(hash(k), k); !ok || v != want {
			t.Fatalf("get %d: got %d, %v, want %d", k, v, ok, want)
		}
	}
	if _, ok := h.get(hash(99), 99); ok {
		t.Fatal("get 99: found what was never set")
	}
}
