package router

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/mqtttest"
	"mangrove/mqtt/topic"
)

func testRouter() *Router { return New(Config{Life: 7, NextID: counter()}) }

// counter is a NextID.
func counter() func() uint64 {
	var n atomic.Uint64
	return func() uint64 { return n.Add(1) }
}

// publish routes a message and returns its receipt.
func publish(r *Router, m *mqtt.Message) *mqtt.Receipt {
	rc := mqtt.NewReceipt(new(batch.Batch), nil)
	r.Publish(m, rc)
	rc.Close()
	return rc
}

func TestPublishStamps(t *testing.T) {
	r := testRouter()
	own, carried := &mqtt.Message{Topic: "a"}, &mqtt.Message{Topic: "a", Origin: mqtt.Origin{Life: 3, Seq: 9}}
	publish(r, own)
	publish(r, carried)
	if own.ID == 0 || own.Origin != (mqtt.Origin{Life: 7, Seq: own.ID}) || own.From.Scope != mqtt.ScopeClient {
		t.Errorf("got %+v, want an id, this node as origin, and client scope", own)
	}
	if carried.ID == 0 || carried.Origin != (mqtt.Origin{Life: 3, Seq: 9}) {
		t.Errorf("got %+v, want an id and the origin kept", carried)
	}
}

func TestLoopGuard(t *testing.T) {
	const client, edge, peer, uplink, tap = mqtt.ScopeClient, mqtt.ScopeEdge, mqtt.ScopePeer, mqtt.ScopeUplink, mqtt.ScopeTap
	tests := []struct {
		from mqtt.Source
		want string // who gets it
	}{
		{mqtt.Source{Scope: client}, "client/x edge/a edge/b peer/a peer/b tap/t uplink/u"},
		{mqtt.Source{Scope: edge, Name: "a"}, "client/x edge/b peer/b tap/t uplink/u"},
		{mqtt.Source{Scope: peer, Name: "b"}, "client/x edge/a tap/t"}, // one hop between cores
		{mqtt.Source{Scope: uplink, Name: "u"}, "client/x edge/a edge/b peer/a peer/b tap/t"},
	}
	names := map[mqtt.Scope]string{client: "client/", edge: "edge/", peer: "peer/", uplink: "uplink/", tap: "tap/"}
	for _, test := range tests {
		r := testRouter()
		var all []*mqtttest.Keeper
		for _, k := range []*mqtttest.Keeper{{Kind: client, Name: "x"}, {Kind: edge, Name: "a"}, {Kind: edge, Name: "b"},
			{Kind: peer, Name: "a"}, {Kind: peer, Name: "b"}, {Kind: uplink, Name: "u"}, {Kind: tap, Name: "t"}} {
			all = append(all, k)
			r.Subscribe(k, mqtt.Subscription{Filter: "#", QoS: 0})
		}
		publish(r, &mqtt.Message{Topic: "t", From: test.from})
		var got []string
		for _, k := range all {
			if len(k.Got) == 1 {
				got = append(got, names[k.Kind]+k.Name)
			}
		}
		sort.Strings(got)
		if strings.Join(got, " ") != test.want {
			t.Errorf("from %+v: got %v, want %s", test.from, got, test.want)
		}
	}
}

func TestNoLocalIsNotForNeighbours(t *testing.T) {
	r := testRouter()
	k := &mqtttest.Keeper{Kind: mqtt.ScopeUplink, Name: "same"}
	r.Subscribe(k, mqtt.Subscription{Filter: "#", NoLocal: true})
	publish(r, &mqtt.Message{Topic: "t", Publisher: "same"})
	if len(k.Got) != 1 {
		t.Errorf("got %d messages, want 1", len(k.Got))
	}
}

func TestRetainFlag(t *testing.T) {
	r := testRouter()
	plain, rap, link := &mqtttest.Keeper{}, &mqtttest.Keeper{}, &mqtttest.Keeper{Kind: mqtt.ScopeEdge}
	r.Subscribe(plain, mqtt.Subscription{Filter: "#"})
	r.Subscribe(rap, mqtt.Subscription{Filter: "#", RetainAsPublished: true})
	r.Subscribe(link, mqtt.Subscription{Filter: "#"})
	publish(r, &mqtt.Message{Topic: "t", Retain: true})
	publish(r, &mqtt.Message{Topic: "t", Retain: true, Replay: true})
	flags := func(k *mqtttest.Keeper) []bool { return []bool{k.Deliveries[0].Retain, k.Deliveries[1].Retain} }
	// [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT311-3.3.1-8]
	if got := fmt.Sprint(flags(plain), flags(rap), flags(link)); got != "[false true] [true true] [true true]" {
		t.Errorf("got %s", got)
	}
}

// The router against a list of subscriptions: every message reaches exactly whom the list says, once.
func TestRouterAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := testRouter()
		level := rapid.SampledFrom([]string{"a", "b", "+"})
		var subs []*mqtttest.Keeper
		for i := range 4 {
			subs = append(subs, &mqtttest.Keeper{Name: fmt.Sprint("c", i)})
		}
		type place struct {
			who    int
			filter string
		}
		model := map[place]mqtt.Subscription{}
		cache := &Cache{}
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				filter := strings.Join(rapid.SliceOfN(level, 1, 3).Draw(t, "levels"), "/")
				if rapid.Bool().Draw(t, "hash") {
					filter += "/#"
				}
				p := place{rapid.IntRange(0, 3).Draw(t, "who"), filter}
				sub := mqtt.Subscription{Filter: filter, QoS: byte(rapid.IntRange(0, 2).Draw(t, "qos")),
					NoLocal: rapid.Bool().Draw(t, "no local"), ID: uint32(rapid.IntRange(0, 3).Draw(t, "id"))}
				_, had := model[p]
				if existed := r.Subscribe(subs[p.who], sub).Existed; existed != had {
					t.Fatalf("subscribe %+v: got existed %t, want %t", p, existed, had)
				}
				model[p] = sub
			},
			"unsubscribe": func(t *rapid.T) {
				p := place{rapid.IntRange(0, 3).Draw(t, "who"), rapid.SampledFrom([]string{"a", "b", "+", "a/#", "+/+"}).Draw(t, "filter")}
				_, had := model[p]
				if existed := r.Unsubscribe(subs[p.who], p.filter); existed != had {
					t.Fatalf("unsubscribe %+v: got existed %t, want %t", p, existed, had)
				}
				delete(model, p)
			},
			"publish": func(t *rapid.T) {
				name := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 3).Draw(t, "name"), "/")
				m := &mqtt.Message{Topic: name, QoS: byte(rapid.IntRange(0, 2).Draw(t, "qos")), Publisher: "c0"}
				e, err := cache.Get(r, "c0", []byte(name), 0)
				if err != nil {
					t.Fatal(err)
				}
				r.PublishTo(e, m, mqtt.NewReceipt(new(batch.Batch), nil))
				for i, k := range subs {
					want := mqtt.Delivery{}
					n := 0
					for p, sub := range model {
						if p.who != i || !topic.Match(p.filter, name) || (sub.NoLocal && i == 0) {
							continue
						}
						n = 1
						want.QoS = max(want.QoS, min(sub.QoS, m.QoS))
						if sub.ID != 0 {
							want.IDs = append(want.IDs, sub.ID)
						}
					}
					if len(k.Deliveries) != n {
						t.Fatalf("publish %s: %s got %d messages, want %d", name, k.Name, len(k.Deliveries), n)
					}
					if n == 1 {
						got := k.Deliveries[0]
						ids := slices.Sorted(slices.Values(got.IDs))
						slices.Sort(want.IDs)
						if got.QoS != want.QoS || fmt.Sprint(ids) != fmt.Sprint(want.IDs) {
							t.Fatalf("publish %s to %s: got %+v, want %+v", name, k.Name, got, want)
						}
					}
					k.Forget()
				}
			},
		})
	})
}

// The cores are asked last, when it is known whether anybody here has written.
func TestUplinkIsAskedLast(t *testing.T) {
	for range 20 { // where the tree puts it differs from one router to the next
		r := testRouter()
		up := &mqtttest.Keeper{Name: "up", Kind: mqtt.ScopeUplink}
		for i := range 5 {
			r.Subscribe(&mqtttest.Keeper{Name: fmt.Sprint(i)}, mqtt.Subscription{Filter: "#", QoS: 1})
			if i == 2 {
				r.Subscribe(up, mqtt.Subscription{Filter: "#", QoS: 1})
			}
		}
		found := r.match("t", "")
		if len(found) != 6 || found[5].to != mqtt.Subscriber(up) {
			t.Fatalf("got %d targets, the last %v, want 6 and the uplink", len(found), found[len(found)-1].to)
		}
	}
}

func TestMergeOfManyTargets(t *testing.T) {
	r := testRouter()
	var all []*mqtttest.Keeper
	for i := range 100 {
		k := &mqtttest.Keeper{Name: fmt.Sprint(i)}
		all = append(all, k)
		r.Subscribe(k, mqtt.Subscription{Filter: "a", QoS: 0, ID: 1})
		r.Subscribe(k, mqtt.Subscription{Filter: "#", QoS: 1, ID: 2})
	}
	publish(r, &mqtt.Message{Topic: "a", QoS: 2})
	for _, k := range all {
		if len(k.Deliveries) != 1 || k.Deliveries[0].QoS != 1 || len(k.Deliveries[0].IDs) != 2 {
			t.Fatalf("%s: got %+v, want one delivery of QoS 1 with two identifiers", k.Name, k.Deliveries)
		}
	}
}

func TestCacheIsBoundedAndFollowsTheTree(t *testing.T) {
	r := testRouter()
	c := &Cache{}
	for i := range 10 * maxCached {
		if _, err := c.Get(r, "", fmt.Appendf(nil, "t/%d", i), 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.topics) > maxCached {
		t.Errorf("got %d topics, want at most %d", len(c.topics), maxCached)
	}
	count := func() int {
		e, err := c.Get(r, "", []byte("t/1"), 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(e.targets)
	}
	k := &mqtttest.Keeper{}
	got := []int{count()}
	r.Subscribe(k, mqtt.Subscription{Filter: "t/+"})
	got = append(got, count())
	r.Unsubscribe(k, "t/+")
	got = append(got, count())
	if fmt.Sprint(got) != "[0 1 0]" {
		t.Errorf("got %v targets, want [0 1 0]", got)
	}
	if _, err := c.Get(r, "", []byte("a/#"), 0); err == nil {
		t.Errorf("got no error for a name with a wildcard")
	}
}
