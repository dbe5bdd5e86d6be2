package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// withConfig writes a configuration file and returns the flag that names it.
func withConfig(t *testing.T, text string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--config", path}
}

// standalone is an edge without cores.
func standalone(t *testing.T, limits string) *node {
	t.Helper()
	return startNode(t, append([]string{"edge", "--node", "edge-a"},
		withConfig(t, "role = \"edge\"\n[link]\ncores = []\n[limits]\n"+limits)...))
}

// reason publishes at QoS 1 and tells the reason code of the PUBACK.
func (c *client) reason(topic, payload string) byte {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	resp, err := c.paho.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: 1})
	if resp == nil {
		c.t.Fatalf("publish %q to %s: %v", payload, topic, err)
	}
	return resp.ReasonCode
}

// left waits until that many clients are left: a client that has said goodbye is connected until the node has read it.
func (n *node) left(clients int) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%d clients are left", clients), func() bool { return n.status().Clients == clients })
}

// By default the oldest messages of a session that is away give way. Nobody else notices.
func TestP6FullQueueStopsNobody(t *testing.T) {
	const bound, messages = 50, 180
	edge := standalone(t, fmt.Sprintf("queue_messages = %d\n", bound))
	away, here, pub := dial(t, edge.addr(), "away"), dial(t, edge.addr(), "here"), dial(t, edge.addr(), "sensor")
	away.subscribe("#", 1)
	here.subscribe("t", 1)
	away.disconnect()
	edge.left(2)
	for i := range messages {
		if code := pub.reason("t", numbered("m", i)); code != 0 {
			t.Fatalf("message %d: got reason %#x, want success", i, code)
		}
	}
	here.wantNumbered("the one who is connected", "t", "m", 0, messages)
	eventually(t, "what is dropped is counted", func() bool { return edge.status().Drops["queue-full"] == messages-bound })
	if full := edge.status().Full; len(full) != 1 || full[0].Name != "away" || full[0].Dropped != messages-bound {
		t.Errorf("got %+v as full queues, want the one of the client that is away", full)
	}
	if got := string(edge.get("/readyz")); !strings.HasPrefix(got, "ready\n1 queues are at their bound") {
		t.Errorf("got %q from /readyz", got)
	}
	away.connect()
	away.wantNumbered("the one who was away", "t", "m", messages-bound, messages)
}

// A session at a core whose queue is full and refuses does not stop the link that brings a message for it.
func TestP6RefusingQueueStopsNoLink(t *testing.T) {
	const bound, alarms = 20, 60
	core := startNode(t, append([]string{"core", "--node", "core-1"},
		withConfig(t, fmt.Sprintf("role = \"core\"\n[limits]\nqueue_messages = %d\nwhen_full = \"refuse\"\n", bound))...))
	edge := startNode(t, []string{"edge", "--node", "edge-a", "--core", core.addr()})
	eventually(t, "the link is up", func() bool { return edge.linksUp() == 1 })
	away, live, pub := dial(t, core.addr(), "away"), dial(t, core.addr(), "live"), dial(t, edge.addr(), "sensor")
	away.subscribe("alarm", 1)
	live.subscribe("telemetry", 1)
	away.disconnect()
	pub.publishNumbered("alarm", "a", 0, alarms, 1)
	pub.publishNumbered("telemetry", "t", 0, 50, 1)
	live.wantNumbered("behind what the full queue did not take", "telemetry", "t", 0, 50)
	if got := core.status().Drops["parking-full"]; got != alarms-2*bound {
		t.Errorf("got %d dropped above twice the bound, want %d", got, alarms-2*bound)
	}
	away.connect()
	away.wantNumbered("in its bound and parked", "alarm", "a", 0, 2*bound)
}

func TestP6BoundedQueueRefusesWhereChosen(t *testing.T) {
	edge := standalone(t, "queue_messages = 50\nwhen_full_rules = [\"t = refuse\"]\n")
	sub, pub := dial(t, edge.addr(), "display"), dial(t, edge.addr(), "sensor")
	sub.subscribe("t", 1)
	sub.disconnect()
	edge.left(1)
	accepted := 0
	for i := range 80 {
		switch code := pub.reason("t", numbered("m", i)); {
		case code == 0:
			if accepted != i {
				t.Fatalf("message %d was accepted after message %d was refused", i, accepted)
			}
			accepted++
		case code != 0x97:
			t.Fatalf("message %d: got reason %#x, want 0x97 (quota exceeded)", i, code)
		}
	}
	if accepted != 50 {
		t.Errorf("got %d messages accepted, want the bound of 50", accepted)
	}
	sub.connect()
	sub.wantNumbered("what was acknowledged", "t", "m", 0, accepted)
	eventually(t, "there is room again", func() bool { return pub.reason("t", numbered("m", accepted)) == 0 })
	sub.want("after the queue has drained", "t", numbered("m", accepted))
}

// accepted = delivered + queued + recorded drops
func TestP5HonestEveryDropIsCounted(t *testing.T) {
	edge := standalone(t, "")
	away, here, pub := dial(t, edge.addr(), "away"), dial(t, edge.addr(), "here"), dial(t, edge.addr(), "sensor")
	away.subscribe("t/#", 1)
	here.subscribe("t/#", 1)
	away.disconnect()
	edge.left(2)
	before := edge.status()
	for i := range 30 { // for a session that is away: QoS 0 is dropped and counted, QoS 1 is queued
		pub.publish("t/0", numbered("zero", i), 0, false)
		pub.publish("t/1", numbered("one", i), 1, false)
	}
	for range 60 {
		select {
		case <-here.messages:
		case <-afterWait():
			t.Fatal("a connected subscriber did not get everything")
		}
	}
	eventually(t, "60 accepted for two subscribers = 60 delivered + 30 queued + 30 dropped", func() bool {
		after := edge.status()
		return after.Out-before.Out == 60 && after.Queued-before.Queued == 30 &&
			after.Drops["offline-qos0"]-before.Drops["offline-qos0"] == 30
	})
	total := 0
	for _, n := range edge.status().Drops {
		total += n
	}
	if total != 30 {
		t.Errorf("got %d drops in all (%v), want 30", total, edge.status().Drops)
	}
}

// The operator may choose what is lost at the bound of a session's queue and of a link's: everybody is acknowledged, and it is counted.
func TestP5HonestAboutWhatFullQueuesDrop(t *testing.T) {
	const bound, messages = 5, 20
	for policy, kept := range map[string]int{"drop-oldest": messages - bound, "drop-new": 0} {
		edge := startNode(t, append([]string{"edge", "--node", "edge-a", "--core", host + ":1"}, // where nobody is
			withConfig(t, fmt.Sprintf("[limits]\nqueue_messages = %d\nlink_messages = %d\nwhen_full = %q\n", bound, bound, policy))...))
		sub, pub := dial(t, edge.addr(), "display"), dial(t, edge.addr(), "sensor")
		sub.subscribe("t", 1)
		sub.disconnect()
		edge.left(1)
		pub.publishNumbered("t", "m", 0, messages, 1)
		eventually(t, policy+": what is dropped is counted", func() bool {
			drops := edge.status().Drops
			return drops["queue-full"] == messages-bound && drops["link-queue-full"] == messages-bound
		})
		if got := edge.backlog(); got != bound {
			t.Errorf("%s: got a backlog of %d for the cores, want %d", policy, got, bound)
		}
		sub.connect()
		sub.wantNumbered(policy, "t", "m", kept, kept+bound)
	}
}

func TestP7ClosedBeyondLoopback(t *testing.T) {
	for flag, args := range map[string][]string{
		"--listen": {"--listen", "0.0.0.0:0", "--http", "127.0.0.1:0"},
		"--http":   {"--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"},
		"--gossip": {"--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--gossip", "0.0.0.0:0"},
	} {
		full := append([]string{"core", "--node", "core-1", "--data", filepath.Join(t.TempDir(), "data")}, args...)
		cmd := exec.Command(binary, full...)
		out, _ := cmd.CombinedOutput() // the exit code tells
		if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), "reachable from other machines") {
			t.Errorf("%s beyond loopback without authentication: got exit code %d and %q, want 2 and an explanation", flag, code, out)
		}
	}
	open := startNode(t, []string{"edge", "--node", "edge-a", "--allow-anonymous", "--listen", "0.0.0.0:0"})
	if !strings.Contains(fmt.Sprint(open.ready.Listen), "0.0.0.0") && !strings.Contains(fmt.Sprint(open.ready.Listen), "[::]") {
		t.Errorf("got listeners %v with --allow-anonymous, want all addresses", open.ready.Listen)
	}
}
