package bench

import (
	"math/rand/v2"
	"testing"

	"mangrove/mqtt/topic"
)

// TestTreeKnowsWhoMatches compares the tree's arithmetic with the rules of MQTT.
func TestTreeKnowsWhoMatches(t *testing.T) {
	const filters = 3000
	tr := newTree(filters, rand.New(rand.NewPCG(1, 1)))
	all := 0
	for _, f := range tr.filters {
		all += len(f)
	}
	if all != filters {
		t.Fatalf("got %d filters, want %d", all, filters)
	}
	numbers := []byte(wildNumbers)
	for range 500 {
		got := map[int]int{}
		tr.draw(numbers, func(client int) { got[client]++ })
		for client, fs := range tr.filters {
			want := 0
			for _, f := range fs {
				if topic.Match(f, string(numbers)) {
					want++
				}
			}
			if got[client] != want || want > 1 {
				t.Fatalf("%s: got %d deliveries to client %d, want %d, at most 1", numbers, got[client], client, want)
			}
		}
	}
}
