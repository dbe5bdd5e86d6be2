package interest

import (
	"testing"

	"mangrove/mqtt"
)

// copyOf is what a broker sends for one subscription.
type copyOf struct {
	payload string
	id      uint32
	repeat  bool // wanted
}

func TestCopies(t *testing.T) {
	cases := []struct {
		why string
		in  []copyOf
	}{
		{"one copy for each subscription", []copyOf{{"m", 1, false}, {"m", 2, true}, {"n", 2, false}, {"n", 1, true}}},
		{"the same message twice", []copyOf{{"m", 1, false}, {"m", 2, true}, {"m", 1, false}, {"m", 2, true}}},
		{"the same message twice, interleaved", []copyOf{{"m", 1, false}, {"m", 1, false}, {"m", 2, true}, {"m", 2, true}}},
		{"a subscription that began later", []copyOf{{"m", 1, false}, {"m", 2, true}, {"m", 1, false}}},
		{"an earlier copy without its partner", []copyOf{{"m", 1, false}, {"m", 2, true}, {"m", 2, false}, {"m", 1, true}}},
		{"without identifier, or with one that is not in use", []copyOf{{"m", 0, false}, {"m", 0, false}, {"m", 9, false}, {"m", 9, false}, {"m", 1, false}}},
	}
	for _, c := range cases {
		copies := NewCopies()
		copies.Use(map[uint32]bool{1: true, 2: true})
		for i, in := range c.in {
			if got := copies.Repeat(&mqtt.Message{Topic: "t", Payload: []byte(in.payload)}, in.id); got != in.repeat {
				t.Errorf("%s: copy %d of %q for %d: got repeat %v, want %v", c.why, i, in.payload, in.id, got, in.repeat)
			}
		}
	}
}

func TestCopiesForgets(t *testing.T) {
	c := NewCopies()
	m := &mqtt.Message{Topic: "t", Payload: []byte("m")}
	c.Use(map[uint32]bool{1: true, 2: true})
	c.Repeat(m, 1)
	c.Use(map[uint32]bool{1: true, 2: true})
	if c.Repeat(m, 2) {
		t.Error("after a change: got a repeat, want a new message")
	}
	for i := range 2 * maxCopied {
		c.Repeat(&mqtt.Message{Topic: "t", Payload: []byte{byte(i), byte(i >> 8)}}, 1)
	}
	if len(c.recent) != maxCopied || len(c.order) != maxCopied {
		t.Errorf("got %d and %d messages remembered, want %d", len(c.recent), len(c.order), maxCopied)
	}
}
