package router

import (
	"fmt"
	"testing"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/mqtttest"
)

// shared is a router with one group of n members on "$share/g/#".
func shared(t *testing.T, balance string, weigh Weigher, n int) (*Router, []*mqtttest.Keeper) {
	t.Helper()
	maker, err := NewBalance(balance, weigh)
	if err != nil {
		t.Fatal(err)
	}
	r := New(Config{Life: 7, NextID: counter(), Balance: maker})
	var members []*mqtttest.Keeper
	for i := range n {
		k := &mqtttest.Keeper{Name: fmt.Sprint("m", i)}
		members = append(members, k)
		r.Subscribe(k, mqtt.Subscription{Filter: "$share/g/#", QoS: 1})
	}
	return r, members
}

func counts(members []*mqtttest.Keeper) (n []int) {
	for _, k := range members {
		n = append(n, len(k.Got))
		k.Got = nil
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
			other := &mqtttest.Keeper{}
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
			if sum != 300 || len(other.Got) != 300 {
				t.Errorf("got %d and %d messages, want 300 for each group", sum, len(other.Got))
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
	members[1].Away = true // online members go first
	send(r, 10, "t", "p")
	if got := fmt.Sprint(counts(members)); got != "[5 0 5]" {
		t.Errorf("got %s, want [5 0 5]", got)
	}
	members[0].Away, members[2].Away = true, true // none: all keep
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
	members[0].Away = true
	send(r, 3, "t", "p")
	members[0].Away = false
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
	if d := members[0].Deliveries; len(d) != 1 || d[0].QoS != 2 || !d[0].Retain || len(d[0].IDs) != 1 {
		t.Errorf("got %+v, want one delivery of QoS 2, retained, with an identifier", d)
	}
	if !r.Unsubscribe(members[0], "$share/g/#") || r.Unsubscribe(members[0], "$share/g/#") {
		t.Errorf("got the wrong answer from Unsubscribe")
	}
	if len(r.groups) != 0 || r.Subscriptions() != 0 {
		t.Errorf("got %d groups, %d entries left", len(r.groups), r.Subscriptions())
	}
}

func TestParseWeight(t *testing.T) {
	for text, want := range map[string]struct {
		client string
		weight int
	}{"worker-1=3": {"worker-1", 3}, "a=b=10000": {"a=b", 10_000}} {
		if client, weight, err := ParseWeight(text); err != nil || client != want.client || weight != want.weight {
			t.Errorf("%q: got %q, %d, %v, want %+v", text, client, weight, err, want)
		}
	}
	for _, text := range []string{"", "a", "=1", "a=", "a=0", "a=-1", "a=10001", "a=x"} {
		if _, _, err := ParseWeight(text); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}

// A member that ended after it was picked takes nothing, so another one gets the message, also one that is not online.
func TestShareGoesOnWithoutTheEnded(t *testing.T) {
	for _, name := range BalanceNames {
		r, members := shared(t, name, nil, 4)
		members[1].Gone, members[2].Gone, members[3].Away = true, true, true
		send(r, 10, "t", "p")
		if got := counts(members); got[0] != 10 {
			t.Errorf("%s: got %v, want all at the one that is online", name, got)
		}
		members[0].Gone = true
		send(r, 10, "t", "p")
		if got := counts(members); got[3] != 10 {
			t.Errorf("%s: got %v, want all at the last one", name, got)
		}
		members[3].Gone = true
		rc := publish(r, &mqtt.Message{Topic: "t"})
		if rc.Taken() != 0 {
			t.Errorf("%s: got %d takers, want none: all have ended", name, rc.Taken())
		}
	}
}

// Who has no room is passed over while another one that is online has some; when none has, the one picked decides.
func TestShareGoesOnWithoutTheFull(t *testing.T) {
	for _, name := range BalanceNames {
		r, members := shared(t, name, nil, 4)
		members[1].Full, members[2].Full, members[3].Away = true, true, true
		send(r, 10, "t", "p")
		if got := counts(members); got[0] != 10 {
			t.Errorf("%s: got %v, want all at the one with room", name, got)
		}
		members[0].Full = true
		for _, k := range members {
			k.Fail = mqtt.ErrQuota
		}
		rc := publish(r, &mqtt.Message{Topic: "t"})
		if got := counts(members); got[3] != 0 || rc.Taken() != 1 || rc.Err() != mqtt.ErrQuota {
			t.Errorf("%s: got %v, %d takers, %v; want a refusal by one that is online", name, got, rc.Taken(), rc.Err())
		}
	}
}

// What a member leaves goes to the group and to nobody else.
func TestHandOver(t *testing.T) {
	r, members := shared(t, "", nil, 2)
	r.Subscribe(members[0], mqtt.Subscription{Filter: "$share/g/#", QoS: 1, ID: 5})
	plain, other := &mqtttest.Keeper{}, &mqtttest.Keeper{}
	r.Subscribe(plain, mqtt.Subscription{Filter: "#"})
	r.Subscribe(other, mqtt.Subscription{Filter: "$share/other/#"})
	members[1].Gone = true
	m := &mqtt.Message{Topic: "t", QoS: 2, Retain: true, ID: 99}
	rc := mqtt.NewReceipt(new(batch.Batch), nil)
	r.HandOver("$share/g/#", m, rc)
	if rc.Taken() != 1 || len(plain.Got)+len(other.Got) != 0 || m.ID != 99 {
		t.Fatalf("got %d takers, %d and %d messages elsewhere, id %d; want one member's", rc.Taken(), len(plain.Got), len(other.Got), m.ID)
	}
	if d := members[0].Deliveries[0]; d.QoS != 1 || d.Retain || d.Group != "$share/g/#" || len(d.IDs) != 1 {
		t.Errorf("got %+v, want that member's own subscription", d)
	}
	r.HandOver("$share/nobody/#", m, rc)
	if rc.Taken() != 1 {
		t.Errorf("got %d takers, want none more: there is no such group", rc.Taken())
	}
}

func TestUnknownBalance(t *testing.T) {
	if _, err := NewBalance("fair", nil); err == nil {
		t.Errorf("got no error for an unknown strategy")
	}
}
