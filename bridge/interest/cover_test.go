package interest

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

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
		if got := Cover(c.filters); !maps.Equal(got, c.want) {
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
		kept := Cover(filters)
		for _, name := range topics {
			if got, want := best(kept, name), best(filters, name); got < want || got >= 0 && want < 0 {
				t.Fatalf("%v: cover %v has QoS %d for %s, want at least %d", filters, kept, got, name, want)
			}
		}
		rival := Rivals(kept)
		for f := range kept {
			without := maps.Clone(kept)
			delete(without, f)
			if Contains(without, f) {
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
