package e2e

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// withEarly is a core, and an edge whose QoS 1 messages are not written when the core acknowledges them in time.
func withEarly(t *testing.T, early string) (core, edge *node) {
	t.Helper()
	core = startCore(t, "core-1")
	edge = startEdge(t, "edge-a", core.addr(), append([]string{"--profile", "sd-card"}, withConfig(t, "link.early = \""+early+"\"\n")...)...)
	eventually(t, "the edge is linked", func() bool { return edge.linksUp() == 1 })
	return core, edge
}

// An edge is killed at random moments while messages are on the way to the core that are on no disk yet: what was acknowledged arrives.
func TestP1FaultEarlyMessagesOfAKilledEdge(t *testing.T) {
	core, edge := withEarly(t, "100ms")
	l := startLoad(t)
	l.subscribe(taker{addr: core.addr(), id: "steady", filter: "#", qos: 2})
	for i := range 6 {
		id := fmt.Sprintf("sensor%d", i)
		qos := byte(1)
		if i == 0 {
			qos = 2
		}
		l.publish(flow{addr: edge.addr(), id: id, topic: "t/" + id, qos: qos, pace: 2 * time.Millisecond}, "steady")
	}
	l.arrived()
	for range scaled(5, 60) {
		randomly(50*time.Millisecond, 500*time.Millisecond)
		edge.kill()
		edge.restart()
	}
	eventually(t, "messages go early, without which the test proves nothing", func() bool {
		return edge.metric("mangrove_link_messages_early_total") > 0
	})
	sum := l.settle(60*time.Second, edge, core)
	sum.check(t)
}

// Without a sync before the acknowledgement a killed process still loses nothing.
func TestP1FaultKilledWithoutSync(t *testing.T) {
	edge := startNode(t, append([]string{"edge", "--node", "edge-a"},
		withConfig(t, "role = \"edge\"\n[link]\ncores = []\n[durability]\ndefault = \"none\"\nrules = [\"t/sensor0 = 50ms\"]\n")...))
	l := startLoad(t)
	l.subscribe(taker{addr: edge.addr(), id: "steady", filter: "#", qos: 2})
	for i := range 4 {
		id := fmt.Sprintf("sensor%d", i)
		l.publish(flow{addr: edge.addr(), id: id, topic: "t/" + id, qos: byte(1 + i%2), pace: 2 * time.Millisecond}, "steady")
	}
	l.arrived()
	for range scaled(3, 30) {
		randomly(50*time.Millisecond, 500*time.Millisecond)
		edge.kill()
		edge.restart()
	}
	sum := l.settle(60*time.Second, edge)
	sum.check(t)
}

// What the core acknowledges in time the edge does not write.
func TestEarlyMessagesSpareTheDisk(t *testing.T) {
	const messages = 200
	written := map[string]int{}
	for _, early := range []string{"off", "2s"} {
		_, edge := withEarly(t, early)
		pub := dial(t, edge.addr(), "pub")
		pub.publish("t", "first", 1, false)
		before := edge.written()
		pub.publishNumbered("t", "m", 0, messages, 1)
		written[early] = (edge.written() - before) / messages
	}
	t.Logf("device bytes per message: %d, early %d", written["off"], written["2s"])
	if written["off"] == 0 {
		t.Skip("this file system does not count what it writes")
	}
	if written["2s"] > written["off"]/4 {
		t.Errorf("got %d device bytes per message with early messages and %d without, want at most a quarter", written["2s"], written["off"])
	}
}

// written is how many bytes the process has had written to a device so far.
func (n *node) written() (bytes int) {
	n.t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/io", n.cmd.Process.Pid))
	if err != nil {
		n.t.Skip(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "write_bytes: %d", &bytes); err == nil {
			return bytes
		}
	}
	n.t.Fatal("/proc/PID/io lacks write_bytes")
	return 0
}

// metric is the value of a metric without labels.
func (n *node) metric(name string) (value float64) {
	n.t.Helper()
	for line := range strings.Lines(string(n.get("/metrics"))) {
		if _, err := fmt.Sscanf(line, name+" %g", &value); err == nil {
			return value
		}
	}
	n.t.Fatalf("/metrics lacks %s", name)
	return 0
}
