package broker

import (
	"fmt"
	"testing"

	"mangrove/mqtt"
)

// shared is a router with one group of n members on "$share/g/#".
func shared(t *testing.T, balance string, weigh Weigher, n int) (*Router, []*keeper) {
	t.Helper()
	maker, err := NewBalance(balance, weigh)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRouter(RouterConfig{StoreID: 7, NextID: counter(), Balance: maker})
	var members []*keeper
	for i := range n {
		k := &keeper{name: fmt.Sprint("m", i)}
		members = append(members, k)
		r.Subscribe(k, mqtt.Subscription{Filter: "$share/g/#", QoS: 1})
	}
	return r, members
}

func counts(members []*keeper) (n []int) {
	for _, k := range members {
		n = append(n, len(k.got))
		k.got = nil
	}
	return n
}

func send(r *Router, n int, topic, publisher string) {
	for range n {
		publish(r, &mqtt.Message{Topic: topic, Publisher: publisher})
	}
}

func TestShareGivesEachMessageToOneMember(t *testing.T) { // section 4.8.2
	for _, name := range BalanceNames {
		t.Run(name, func(t *testing.T) {
			r, members := shared(t, name, nil, 3)
			other := &keeper{}
			r.Subscribe(other, mqtt.Subscription{Filter: "$share/other/#"})
			for i := range 300 {
				send(r, 1, fmt.Sprint("t/", i), fmt.Sprint("p", i))
			}
			sum := 0
			for i, n := range counts(members) {
				sum += n
				if name != "sticky" && (n < 40 || n > 180) {
					t.Errorf("member %d: got %d of 300 messages", i, n)
				}
			}
			if sum != 300 || len(other.got) != 300 {
				t.Errorf("got %d and %d messages, want 300 for each group", sum, len(other.got))
			}
		})
	}
}

func TestRoundRobin(t *testing.T) {
	r, members := shared(t, "", nil, 3)
	send(r, 9, "t", "p")
	if got := fmt.Sprint(counts(members)); got != "[3 3 3]" {
		t.Errorf("got %s, want [3 3 3]", got)
	}
	members[1].off = true // online members go first
	send(r, 10, "t", "p")
	if got := fmt.Sprint(counts(members)); got != "[5 0 5]" {
		t.Errorf("got %s, want [5 0 5]", got)
	}
	members[0].off, members[2].off = true, true // none: all keep
	send(r, 9, "t", "p")
	if got := fmt.Sprint(counts(members)); got != "[3 3 3]" {
		t.Errorf("got %s, want [3 3 3]", got)
	}
}

func TestHashesStay(t *testing.T) {
	for name, key := range map[string]func(i int) (topic, publisher string){
		"hash-topic":  func(i int) (string, string) { return fmt.Sprint("t/", i), fmt.Sprint(i * 31) },
		"hash-client": func(i int) (string, string) { return fmt.Sprint("t/", i*31), fmt.Sprint("p", i) },
	} {
		r, members := shared(t, name, nil, 4)
		owner := func(i int) int {
			topic, publisher := key(i)
			send(r, 5, topic, publisher)
			for at, n := range counts(members) {
				if n == 5 {
					return at
				}
				if n != 0 {
					t.Fatalf("%s: got %d of 5 messages of one key, want all or none", name, n)
				}
			}
			return -1
		}
		before := map[int]int{}
		for i := range 50 {
			before[i] = owner(i)
		}
		r.Unsubscribe(members[3], "$share/g/#")
		for i, was := range before {
			if now := owner(i); was != 3 && now != was {
				t.Errorf("%s: key %d moved from %d to %d though its member stayed", name, i, was, now)
			}
		}
	}
}

func TestWeighted(t *testing.T) {
	r, members := shared(t, "weighted", func(id string) int { return map[string]int{"m0": 8, "m1": 0}[id] }, 2)
	send(r, 900, "t", "p")
	if got := counts(members); got[0] < 720 || got[0] > 870 {
		t.Errorf("got %v, want about 8:1", got)
	}
}

func TestSticky(t *testing.T) {
	r, members := shared(t, "sticky", nil, 3)
	send(r, 5, "t", "p")
	members[0].off = true
	send(r, 3, "t", "p")
	members[0].off = false
	send(r, 1, "t", "p")
	if got := fmt.Sprint(counts(members)); got != "[5 4 0]" {
		t.Errorf("got %s, want [5 4 0]", got)
	}
}

func TestShareUsesTheMembersOwnSubscription(t *testing.T) {
	r, members := shared(t, "", nil, 1)
	r.Subscribe(members[0], mqtt.Subscription{Filter: "$share/g/#", QoS: 2, RetainAsPublished: true, ID: 5})
	publish(r, &mqtt.Message{Topic: "t", QoS: 2, Retain: true})
	publish(r, &mqtt.Message{Topic: "t", Retain: true, Replay: true}) // not for groups
	if d := members[0].ds; len(d) != 1 || d[0].QoS != 2 || !d[0].Retain || len(d[0].IDs) != 1 {
		t.Errorf("got %+v, want one delivery of QoS 2, retained, with an identifier", d)
	}
	if !r.Unsubscribe(members[0], "$share/g/#") || r.Unsubscribe(members[0], "$share/g/#") {
		t.Errorf("got the wrong answer from Unsubscribe")
	}
	if len(r.groups) != 0 || r.Subscriptions() != 0 {
		t.Errorf("got %d groups, %d entries left", len(r.groups), r.Subscriptions())
	}
}

func TestUnknownBalance(t *testing.T) {
	if _, err := NewBalance("fair", nil); err == nil {
		t.Errorf("got no error for an unknown strategy")
	}
}
