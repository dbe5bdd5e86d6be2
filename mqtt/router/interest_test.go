package router

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mangrove/mqtt"
	"mangrove/mqtt/mqtttest"
	"mangrove/mqtt/topic"
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
	c1, c2, edge, tap := &mqtttest.Keeper{}, &mqtttest.Keeper{}, &mqtttest.Keeper{Kind: mqtt.ScopeEdge}, &mqtttest.Keeper{Kind: mqtt.ScopeTap}
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
	if n := len(r.interest.several); n != 0 {
		t.Errorf("got %d counts kept, want 0", n)
	}
}

// told is what a watcher has been told until now.
type told struct {
	scopes mqtt.Scope
	held   map[string]byte
	stop   func()
}

func (w *told) hear(t *rapid.T, filter string, qos byte, wanted bool) {
	if had, existed := w.held[filter]; existed == wanted && had == qos {
		t.Fatalf("scopes %b: told %q of QoS %d, %t, as before", w.scopes, filter, qos, wanted)
	}
	if w.held[filter] = qos; !wanted {
		delete(w.held, filter)
	}
}

// What watchers have been told always adds up to what is subscribed, alone and in groups, whenever they came; and
// counts are kept where the tree does not say it all.
func TestInterestAgainstModel(t *testing.T) {
	filters := []string{"a", "a/#", "+", "a/b", "$share/g/a", "$share/h/a", "$share/g/a/b"}
	scopes := []mqtt.Scope{mqtt.ScopeClient, mqtt.ScopeClient, mqtt.ScopeEdge, mqtt.ScopePeer, mqtt.ScopeTap}
	rapid.Check(t, func(t *rapid.T) {
		r := testRouter()
		var who []*mqtttest.Keeper
		for _, scope := range scopes {
			who = append(who, &mqtttest.Keeper{Kind: scope})
		}
		type place struct {
			who    int
			filter string
		}
		model := map[place]byte{}
		var watching []*told
		draw := func(t *rapid.T) place {
			return place{rapid.IntRange(0, len(who)-1).Draw(t, "who"), rapid.SampledFrom(filters).Draw(t, "filter")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				p, qos := draw(t), byte(rapid.IntRange(0, 2).Draw(t, "qos"))
				_, had := model[p]
				if existed := r.Subscribe(who[p.who], mqtt.Subscription{Filter: p.filter, QoS: qos}).Existed; existed != had {
					t.Fatalf("subscribe %v: got existed %t, want %t", p, existed, had)
				}
				model[p] = qos
			},
			"unsubscribe": func(t *rapid.T) {
				p := draw(t)
				_, had := model[p]
				if existed := r.Unsubscribe(who[p.who], p.filter); existed != had {
					t.Fatalf("unsubscribe %v: got existed %t, want %t", p, existed, had)
				}
				delete(model, p)
			},
			"come": func(t *rapid.T) {
				w := &told{scopes: mqtt.Scope(rapid.IntRange(1, 31).Draw(t, "scopes")), held: map[string]byte{}}
				w.stop = r.Interest(w.scopes, func(filter string, qos byte, wanted bool) { w.hear(t, filter, qos, wanted) })
				watching = append(watching, w)
			},
			"leave": func(t *rapid.T) {
				if len(watching) == 0 {
					t.Skip("nobody watches")
				}
				i := rapid.IntRange(0, len(watching)-1).Draw(t, "watcher")
				watching[i].stop()
				watching[i].held = nil // which panics when it is told more
				watching = slices.Delete(watching, i, i+1)
			},
			"": func(t *rapid.T) {
				n := map[string]int{}
				for p := range model {
					_, filter := topic.Split(p.filter)
					n[filter]++
				}
				maps.DeleteFunc(n, func(_ string, n int) bool { return n < 2 })
				if len(r.interest.several) != len(n) {
					t.Fatalf("got counts of %d filters, want %d: %v", len(r.interest.several), len(n), n)
				}
				for _, w := range watching {
					want := map[string]byte{}
					for p, qos := range model {
						if w.scopes&who[p.who].Kind != 0 {
							_, filter := topic.Split(p.filter)
							want[filter] = max(want[filter], qos)
						}
					}
					if !maps.Equal(w.held, want) {
						t.Fatalf("scopes %b: got told %v, want %v", w.scopes, w.held, want)
					}
				}
			},
		})
	})
}

// What a subscription takes of the memory, apart from its filter's string, which the session has too.
func TestMemoryOfASubscription(t *testing.T) {
	const n, most = 100_000, 90
	filters, who := make([]string, n), make([]*sink, n)
	for i := range n {
		filters[i], who[i] = fmt.Sprintf("fleet/site/device-%09d/set", i), &sink{}
	}
	before := heap()
	r := testRouter()
	for i := range n {
		r.Subscribe(who[i], mqtt.Subscription{Filter: filters[i]})
	}
	got := float64(heap()-before) / n
	t.Logf("%.0f bytes", got)
	if got > most {
		t.Errorf("got %.1f bytes for each of %d subscriptions, want at most %d", got, n, most)
	}
	runtime.KeepAlive(filters)
	runtime.KeepAlive(r)
}
