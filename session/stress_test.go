package session

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"mangrove/mqtt"
)

// Several publishers at once, to a client that keeps losing its connection, or having it taken over. Each publisher's
// messages come in order, QoS 2 once. [promises P1 P2 P3]
func TestManyPublishersAndReconnects(t *testing.T) {
	const publishers, messages = 6, 150
	n := newNode(t, true, func(c *Config) { c.WindowMessages, c.MaxInflight = 8, 16 })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "qos1", 1)
	subscribe(t, s, "qos2", 2)
	s.Detach(out, mqtt.DetachRequest{})

	var all sync.WaitGroup
	for p := range publishers {
		all.Add(1)
		go func() { // ends by itself; the test waits
			defer all.Done()
			qos := byte(1 + p%2)
			for i := range messages {
				if err := n.send(fmt.Sprint("qos", qos), fmt.Sprintf("%d-%d", p, i), qos); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	published := make(chan struct{})
	go func() { all.Wait(); close(published) }() // ends with the publishers

	c := newModelClient()
	finished := func() bool {
		select {
		case <-published:
			return s.info().Queued == 0
		default:
			return false
		}
	}
	for end := time.Now().Add(30 * time.Second); !finished(); {
		if time.Now().After(end) {
			t.Fatalf("got stuck with %+v", s.info())
		}
		readSome(t, n, c, 50+rand.IntN(100))
	}
	if c.bad != "" {
		t.Fatal(c.bad)
	}
	checkOrder(t, firsts(c.got[1]), publishers/2*messages)
	checkOrder(t, c.got[2], publishers/2*messages)
}

// readSome is one connection of the client, for about n packets.
func readSome(t *testing.T, n *node, c *modelClient, packets int) {
	out := &modelOutlet{c: c, inUse: map[uint16]bool{}}
	got, _, err := n.Open(mqtt.OpenRequest{ClientID: "c", Expiry: hour, ReceiveMaximum: 10}, out)
	if err != nil {
		t.Fatal(err)
	}
	s := got.(*Session)
	s.Resume()
	for idle := 0; packets > 0 && idle < 20; {
		p, ok := out.next()
		if !ok {
			idle++
			time.Sleep(100 * time.Microsecond)
			continue
		}
		packets--
		out.answer(t, s, c.handle(p))
	}
	if rand.IntN(2) == 0 {
		s.Detach(out, mqtt.DetachRequest{})
	}
}

// checkOrder wants n payloads PUBLISHER-NUMBER, the numbers of each publisher rising by one.
func checkOrder(t *testing.T, got []string, n int) {
	t.Helper()
	next := map[string]int{}
	for _, p := range got {
		who, number, _ := strings.Cut(p, "-")
		if want := fmt.Sprint(next[who]); number != want {
			t.Fatalf("publisher %s: got message %s, want %s", who, number, want)
		}
		next[who]++
	}
	if len(got) != n {
		t.Fatalf("got %d messages, want %d", len(got), n)
	}
}
