package lane

import (
	"fmt"
	"testing"

	"mangrove/mqtt"
)

func TestRingDropsOldest(t *testing.T) {
	drops := map[string]int{}
	r := NewRing(5, 1<<20, func(reason string, n int) { drops[reason] += n })
	message := func(i int) *mqtt.Message { return &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i)} }
	r.Add(message(0))
	r.SetOpen(true)
	for i := 1; i <= 7; i++ {
		r.Add(message(i))
	}
	found, first := r.Take(nil, 1<<20)
	var got []string
	for _, m := range found {
		got = append(got, string(m.Payload))
	}
	if fmt.Sprint(got) != "[3 4 5 6 7]" || first != 1 {
		t.Errorf("got %v from position %d, want [3 4 5 6 7] from 1", got, first)
	}
	r.Add(message(8))
	r.SetOpen(false)
	if drops[DropLinkDown] != 2 || drops[DropBufferFull] != 2 {
		t.Errorf("got drops %v, want 2 of each", drops)
	}
}
