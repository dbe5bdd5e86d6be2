package bridge

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

func TestCover(t *testing.T) {
	cases := []struct{ filters, want map[string]byte }{
		{map[string]byte{}, map[string]byte{}},
		{map[string]byte{"a": 0, "b": 1}, map[string]byte{"a": 0, "b": 1}},
		{map[string]byte{"#": 0, "a": 1, "+/b": 0}, map[string]byte{"#": 1}},
		{map[string]byte{"a/#": 0, "a": 1, "a/b/c": 0, "b": 0}, map[string]byte{"a/#": 1, "b": 0}},
		{map[string]byte{"+/b": 0, "a/+": 1, "a/b": 1}, map[string]byte{"+/b": 1, "a/+": 1}},
		{map[string]byte{"a/+": 0, "a/+/c": 0, "a/#": 0}, map[string]byte{"a/#": 0}},
		{map[string]byte{"+/+": 0, "a/+": 1, "/": 1}, map[string]byte{"+/+": 1}},
		{map[string]byte{"+/#": 0, "a": 1, "+": 0}, map[string]byte{"+/#": 1}},
		{map[string]byte{"a//b": 0, "a/+/b": 0}, map[string]byte{"a/+/b": 0}},
	}
	for _, c := range cases {
		if got := cover(c.filters); !maps.Equal(got, c.want) {
			t.Errorf("cover of %v: got %v, want %v", c.filters, got, c.want)
		}
	}
}

// Against the definition: what a filter of the set matches, its cover matches, with no lower QoS, and no filter of the
// cover can be left out; rivals are those that share a topic.
func TestCoverByItsTopics(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var topics []string
	for _, a := range []string{"x", "y", "z"} {
		topics = append(topics, a)
		for _, b := range []string{"x", "y", "z"} {
			topics = append(topics, a+"/"+b)
			for _, c := range []string{"x", "y", "z"} {
				topics = append(topics, a+"/"+b+"/"+c)
			}
		}
	}
	best := func(filters map[string]byte, name string) (qos int) {
		qos = -1
		for f, q := range filters {
			if topic.Match(f, name) {
				qos = max(qos, int(q))
			}
		}
		return qos
	}
	for range 2000 {
		filters := map[string]byte{}
		for range 1 + r.IntN(6) {
			levels := make([]string, 1+r.IntN(3))
			for i := range levels {
				levels[i] = []string{"x", "y", "+", "+"}[r.IntN(4)]
			}
			if r.IntN(3) == 0 {
				levels[len(levels)-1] = "#"
			}
			filters[strings.Join(levels, "/")] = byte(r.IntN(2))
		}
		kept := cover(filters)
		for _, name := range topics {
			if got, want := best(kept, name), best(filters, name); got < want || got >= 0 && want < 0 {
				t.Fatalf("%v: cover %v has QoS %d for %s, want at least %d", filters, kept, got, name, want)
			}
		}
		rival := rivals(kept)
		for f := range kept {
			without := maps.Clone(kept)
			delete(without, f)
			if containsFilter(without, f) {
				t.Fatalf("%v: cover %v has %s, which another contains", filters, kept, f)
			}
			shares := false
			for _, name := range topics {
				shares = shares || topic.Match(f, name) && best(without, name) >= 0
			}
			if shares && !rival[f] {
				t.Fatalf("cover %v: got %s as no rival, want one: it shares topics", kept, f)
			}
		}
	}
}

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
		copies := newCopies()
		copies.set(map[uint32]bool{1: true, 2: true})
		for i, in := range c.in {
			if got := copies.repeat(&mqtt.Message{Topic: "t", Payload: []byte(in.payload)}, in.id); got != in.repeat {
				t.Errorf("%s: copy %d of %q for %d: got repeat %v, want %v", c.why, i, in.payload, in.id, got, in.repeat)
			}
		}
	}
}

func TestCopiesForgets(t *testing.T) {
	c := newCopies()
	m := &mqtt.Message{Topic: "t", Payload: []byte("m")}
	c.set(map[uint32]bool{1: true, 2: true})
	c.repeat(m, 1)
	c.set(map[uint32]bool{1: true, 2: true})
	if c.repeat(m, 2) {
		t.Error("after a change: got a repeat, want a new message")
	}
	for i := range 2 * maxCopied {
		c.repeat(&mqtt.Message{Topic: "t", Payload: []byte{byte(i), byte(i >> 8)}}, 1)
	}
	if len(c.recent) != maxCopied || len(c.order) != maxCopied {
		t.Errorf("got %d and %d messages remembered, want %d", len(c.recent), len(c.order), maxCopied)
	}
}
