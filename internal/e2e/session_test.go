package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestP1KeptInSessionsOverKill(t *testing.T) {
	edge := startNode(t, []string{"edge", "--node", "edge-a"})
	sub := dial(t, edge.addr(), "display")
	sub.subscribe("t/#", 2)
	sub.disconnect()
	pub := dial(t, edge.addr(), "sensor")
	pub.publishNumbered("t/1", "one", 0, 100, 1)
	pub.publishNumbered("t/2", "two", 0, 100, 2)
	pub.publish("t/kept", "state", 1, true)
	edge.kill()
	edge.restart()
	if !sub.connect() {
		t.Errorf("got session present 0 after kill -9, want 1")
	}
	sub.wantNumbered("queued before the kill", "t/1", "one", 0, 100)
	sub.wantNumbered("queued before the kill", "t/2", "two", 0, 100)
	sub.want("queued before the kill", "t/kept", "state")
	late := dial(t, edge.addr(), "late")
	late.subscribe("t/kept", 1)
	if m := late.want("retained survives", "t/kept", "state"); !m.Retain {
		t.Errorf("got RETAIN 0, want 1")
	}
}

func TestP2OnceWhenKilledAgainAndAgain(t *testing.T) {
	kills := 5
	if testing.Short() {
		kills = 2
	}
	edge := startNode(t, []string{"edge", "--node", "edge-a"})
	sub := dial(t, edge.addr(), "display")
	sub.subscribe("one", 1)
	sub.subscribe("two", 2)
	sub.disconnect()
	published := make(map[string]int) // how many of each prefix were acknowledged
	for round := range kills {
		stop := make(chan struct{})
		done := make(chan map[string]int, 4)
		for p := range 4 {
			go publishUntilGone(t, edge.addr(), fmt.Sprintf("sensor-%d-%d", round, p), byte(1+p%2), stop, done)
		}
		<-time.After(time.Duration(50+rand.IntN(300)) * time.Millisecond) // the moment of the kill is meant to be random
		edge.kill()
		close(stop)
		for range 4 {
			for prefix, n := range <-done {
				published[prefix] = n
			}
		}
		edge.restart()
	}
	if !sub.connect() {
		t.Fatalf("got session present 0, want 1")
	}
	wantAcknowledged(t, sub, published)
}

// publishUntilGone publishes numbered messages until the node is gone and reports how many were acknowledged.
func publishUntilGone(t *testing.T, addr, prefix string, qos byte, stop <-chan struct{}, done chan<- map[string]int) {
	n := 0
	defer func() { done <- map[string]int{prefix: n} }()
	c := newClient(t, addr, prefix)
	if _, err := c.tryConnect(); err != nil {
		return
	}
	topic := map[byte]string{1: "one", 2: "two"}[qos]
	for ; ; n++ {
		select {
		case <-stop:
			return
		case <-c.paho.Done():
			return
		default:
		}
		if !c.tryPublish(topic, numbered(prefix, n), qos) {
			return
		}
	}
}

// wantAcknowledged wants every acknowledged message, in order per publisher, and QoS 2 never twice.
func wantAcknowledged(t *testing.T, sub *client, published map[string]int) {
	t.Helper()
	total, next := 0, make(map[string]int)
	for _, n := range published {
		total += n
	}
	if total < 50 {
		t.Fatalf("got %d acknowledged messages, want a load", total)
	}
	missing := total
	for missing > 0 {
		select {
		case m := <-sub.messages:
			prefix, i := splitNumbered(t, string(m.Payload))
			switch {
			case i == next[prefix]:
				next[prefix]++
				if i < published[prefix] {
					missing--
				}
			case i > next[prefix]:
				t.Fatalf("%s: got %d, want %d: a message is missing", prefix, i, next[prefix])
			case m.Topic == "two":
				t.Fatalf("%s: got QoS 2 message %d twice", prefix, i)
			}
		case <-afterWait():
			t.Fatalf("got %d of %d acknowledged messages", total-missing, total)
		}
	}
	t.Logf("%d acknowledged messages, none lost", total)
}
