package broker

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mangrove/mqtt"
)

func TestInterest(t *testing.T) {
	r := testRouter()
	var log []string
	watch := func(name string, scopes mqtt.Scope) (stop func()) {
		return r.Interest(scopes, func(filter string, qos byte, wanted bool) {
			log = append(log, fmt.Sprintf("%s %s %d %t", name, filter, qos, wanted))
		})
	}
	want := func(why string, lines ...string) {
		t.Helper()
		if got := strings.Join(log, ", "); got != strings.Join(lines, ", ") {
			t.Errorf("%s: got %q, want %q", why, got, strings.Join(lines, ", "))
		}
		log = nil
	}
	c1, c2, edge, tap := &keeper{}, &keeper{}, &keeper{scope: mqtt.ScopeEdge}, &keeper{scope: mqtt.ScopeTap}
	r.Subscribe(c1, mqtt.Subscription{Filter: "a"})
	watch("up", mqtt.ScopeClient|mqtt.ScopeEdge)
	want("snapshot", "up a 0 true")
	r.Subscribe(c2, mqtt.Subscription{Filter: "$share/g/a", QoS: 0})
	want("one more of the same")
	r.Subscribe(c2, mqtt.Subscription{Filter: "$share/g/a", QoS: 2})
	want("replaced by a higher one", "up a 2 true")
	r.Subscribe(tap, mqtt.Subscription{Filter: "b"})
	want("a tap is no interest")
	stop := watch("edges", mqtt.ScopeEdge)
	r.Subscribe(edge, mqtt.Subscription{Filter: "a", QoS: 1})
	want("an edge", "edges a 1 true")
	r.Unsubscribe(c2, "$share/g/a")
	want("less QoS", "up a 1 true")
	stop()
	r.Unsubscribe(edge, "a")
	want("still wanted by c1", "up a 0 true")
	r.Unsubscribe(c1, "a")
	want("gone", "up a 0 false")
	if n := len(r.interest.filters); n != 1 { // the tap's
		t.Errorf("got %d filters held, want 1", n)
	}
}

// What a watcher has been told always adds up to what is subscribed.
func TestInterestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := testRouter()
		scopes := []mqtt.Scope{mqtt.ScopeClient, mqtt.ScopeEdge, mqtt.ScopePeer}
		var who []*keeper
		for i := range 6 {
			who = append(who, &keeper{scope: scopes[i%3]})
		}
		type place struct {
			who    int
			filter string
		}
		held := map[place]byte{}
		told := map[string]byte{}
		start := rapid.IntRange(0, 20).Draw(t, "watch from step")
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if i == start {
				r.Interest(mqtt.ScopeClient|mqtt.ScopeEdge, func(filter string, qos byte, wanted bool) {
					if told[filter] = qos; !wanted {
						delete(told, filter)
					}
				})
			}
			p := place{rapid.IntRange(0, 5).Draw(t, "who"), rapid.SampledFrom([]string{"a", "a/#", "+"}).Draw(t, "filter")}
			if qos := byte(rapid.IntRange(0, 3).Draw(t, "qos")); qos < 3 {
				r.Subscribe(who[p.who], mqtt.Subscription{Filter: p.filter, QoS: qos})
				held[p] = qos
			} else {
				r.Unsubscribe(who[p.who], p.filter)
				delete(held, p)
			}
			if i < start {
				continue
			}
			want := map[string]byte{}
			for p, qos := range held {
				if who[p.who].scope != mqtt.ScopePeer {
					want[p.filter] = max(want[p.filter], qos)
				}
			}
			if fmt.Sprint(told) != fmt.Sprint(want) {
				t.Fatalf("got told %v, want %v", told, want)
			}
		}
	})
}
