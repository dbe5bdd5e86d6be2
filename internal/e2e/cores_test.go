package e2e

import (
	"testing"
	"time"

	"mangrove/internal/sim"
)

// pair is a publisher and a subscriber of each QoS, from one node to another.
func (l *load) pair(name string, from, to *node) {
	l.t.Helper()
	for _, qos := range []byte{1, 2} {
		id := numbered(name, int(qos))
		l.subscribe(taker{addr: to.addr(), id: "display-" + id, filter: id + "/#", qos: qos})
		interested(l.t, from.addr(), to.addr(), id)
		l.publish(flow{addr: from.addr(), id: "sensor-" + id, topic: id + "/t", qos: qos, pace: 3 * time.Millisecond}, "display-"+id)
	}
}

// wantInOrder wants the first deliveries of a pair's messages in order.
func (l *load) wantInOrder(name string) {
	l.t.Helper()
	for _, qos := range []int{1, 2} {
		if n := l.book.disorder("sensor-" + numbered(name, qos)); n > 0 {
			l.t.Errorf("%s, QoS %d: got %d first deliveries out of order, want 0", name, qos, n)
		}
	}
}

// A core that comes later has the retained messages and knows who wants what.
func TestP1FaultCoreThatJoinsLate(t *testing.T) {
	core1 := startCore(t, "core-1")
	edgeA := startEdge(t, "edge-a", core1.addr())
	eventually(t, "edge-a is linked", func() bool { return edgeA.linksUp() == 1 })
	pub, sub := dial(t, edgeA.addr(), "sensor"), dial(t, edgeA.addr(), "lamp")
	sub.subscribe("lamp/#", 1)
	for i := range 50 {
		pub.publish(numbered("state/s", i), numbered("v", i), 1, true)
	}
	eventually(t, "core-1 has them", func() bool { return edgeA.backlog() == 0 })

	core2 := startCore(t, "core-2", "--join", core1.ready.Gossip)
	eventually(t, "the cores are linked", func() bool { return core1.linksUp() == 2 && core2.linksUp() == 1 })
	late := dial(t, core2.addr(), "display")
	late.subscribe("state/#", 1)
	wantEachOnce(t, late, 50)
	throughFrom(t, dial(t, core2.addr(), "switch"), sub, "lamp/1")

	edgeC := startEdge(t, "edge-c", core2.addr())
	eventually(t, "edge-c is linked", func() bool { return edgeC.linksUp() == 1 })
	later := dial(t, edgeC.addr(), "display")
	later.subscribe("state/#", 1)
	wantEachOnce(t, later, 50)
	throughFrom(t, dial(t, edgeC.addr(), "switch"), sub, "lamp/2")
}

// A core leaves while messages go through it, and its edge goes to another; what it held comes when it is back.
func TestP2FaultCoreThatLeaves(t *testing.T) {
	core1, core2 := startCores(t)
	core3 := startCore(t, "core-3", "--join", core1.ready.Gossip)
	edgeA := startEdge(t, "edge-a", core1.addr())
	edgeC := startEdge(t, "edge-c", core2.addr()+","+core3.addr())
	eventually(t, "all are linked", func() bool {
		return edgeA.linksUp() == 1 && edgeC.linksUp() == 1 && core1.linksUp() == 3 && core3.linksUp() >= 2
	})
	l := startLoad(t)
	l.pair("down", edgeA, edgeC)
	l.pair("up", edgeC, edgeA)
	l.arrived()
	cores := map[bool]*node{true: core2, false: core3}
	for range scaled(2, 10) {
		at2 := core2.hasLink("edge-c")
		began := time.Now()
		if code := cores[at2].stop(); code != 0 {
			t.Errorf("got exit code %d of a core that leaves, want 0", code)
		}
		eventually(t, "edge-c is at the other core", func() bool { return cores[!at2].hasLink("edge-c") })
		t.Logf("edge-c changed cores in %v", time.Since(began).Round(time.Millisecond))
		during(scaled(300*time.Millisecond, time.Second))
		cores[at2].restart()
	}
	sum := l.settle(wait, core1, core2, core3, edgeA, edgeC)
	sum.checkOnce(t)
	t.Logf("links recognised at least %d repeats", repeats(core1, core2, core3, edgeA, edgeC))
}

// hasLink tells whether a neighbour is linked.
func (n *node) hasLink(neighbour string) bool {
	for _, l := range n.status().Links {
		if l.Name == neighbour && l.State == "up" {
			return true
		}
	}
	return false
}

// An edge is driven from core to core by cutting the line to the one where it is.
func TestP2FaultEdgeThatChangesCores(t *testing.T) {
	core1, core2 := startCores(t)
	lines := []*sim.Proxy{startProxy(t, core1.addr()), startProxy(t, core2.addr())}
	edgeA := startEdge(t, "edge-a", core1.addr())
	edgeC := startEdge(t, "edge-c", lines[0].Addr()+","+lines[1].Addr())
	eventually(t, "both edges are linked", func() bool { return edgeA.linksUp() == 1 && edgeC.linksUp() == 1 })
	l := startLoad(t)
	l.pair("down", edgeA, edgeC)
	l.pair("up", edgeC, edgeA)
	l.arrived()
	cores := []*node{core1, core2}
	for range scaled(10, 40) {
		at := 0
		if core2.hasLink("edge-c") {
			at = 1
		}
		lines[at].Cut(sim.Fault{Reset: true, Refuse: true})
		lines[1-at].Heal()
		eventually(t, "edge-c is at the other core", func() bool { return cores[1-at].hasLink("edge-c") && !cores[at].hasLink("edge-c") })
		randomly(50*time.Millisecond, scaled(200*time.Millisecond, 400*time.Millisecond))
	}
	lines[0].Heal()
	lines[1].Heal()
	sum := l.settle(60*time.Second, core1, core2, edgeA, edgeC)
	sum.checkOnce(t)
	l.wantInOrder("up") // what goes down to an edge that moves may come by two ways
	t.Logf("links recognised %d repeats", repeats(core1, core2, edgeA, edgeC))
}
