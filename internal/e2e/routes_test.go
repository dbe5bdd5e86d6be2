package e2e

import (
	"net"
	"strings"
	"testing"
	"time"

	"mangrove/internal/sim"
)

// The line between two cores dies, while a third reaches both, and comes back: messages between their edges go through the third, and each arrives once,
// in order.
func TestP2FaultDeadLineBetweenCores(t *testing.T) {
	core1, core2 := startCore(t, "core-1"), startCore(t, "core-2")
	line := startProxy(t, core2.addr())
	core2.stop()
	core2.args = append(core2.args, "--join", core1.ready.Gossip, "--advertise", line.Addr())
	core2.restart() // core-1 dials it, through the proxy that it announces
	core3 := startCore(t, "core-3", "--join", core1.ready.Gossip)
	edgeA, edgeC := startEdge(t, "edge-a", core1.addr(), "--discovery", "static"), startEdge(t, "edge-c", core2.addr(), "--discovery", "static")
	eventually(t, "all are linked", func() bool {
		return core1.linksUp() == 3 && core2.linksUp() == 3 && core3.linksUp() == 2 && edgeC.linksUp() == 1
	})
	l := startLoad(t)
	l.pair("down", edgeA, edgeC)
	l.pair("up", edgeC, edgeA)
	l.arrived()
	for range scaled(1, 5) {
		line.Cut(sim.Fault{Reset: true})
		eventually(t, "core-1 reaches core-2 through core-3", func() bool { return core1.way("core-2") == "via core-3" })
		during(scaled(200*time.Millisecond, 3*time.Second))
		line.Heal()
		eventually(t, "core-1 reaches core-2", func() bool { w := core1.way("core-2"); return w != "" && !strings.HasPrefix(w, "via") })
		during(scaled(100*time.Millisecond, time.Second))
	}
	sum := l.settle(wait, core1, core2, core3, edgeA, edgeC)
	sum.checkOnce(t)
	l.wantInOrder("down")
	l.wantInOrder("up")
}

// way is the address of the link to a neighbour, which is up; "" = it is not.
func (n *node) way(neighbour string) string {
	for _, l := range n.status().Links {
		if l.Name == neighbour && l.State == "up" {
			return l.Address
		}
	}
	return ""
}

// A core stops in order, and its edge goes to another: nothing is queued for it but what a session of its own wants, which gets it
// when the core is back.
func TestP1FaultCoreThatStopsForGood(t *testing.T) {
	if !scaled(false, true) {
		t.Skip("long: bridge.TestCoreStoppedInOrder is the short form")
	}
	core1, core2 := startCores(t)
	core3 := startCore(t, "core-3", "--join", core1.ready.Gossip)
	edge := startEdge(t, "edge", core2.addr()+","+core3.addr(), "--discovery", "static")
	eventually(t, "all are linked", func() bool { return core1.linksUp() == 2 && edge.linksUp() == 1 })
	gone, other := core2, core3
	if core3.hasLink("edge") {
		gone, other = core3, core2
	}
	pub, sub := dial(t, core1.addr(), "sensor"), dial(t, edge.addr(), "display")
	sub.subscribe("t/#", 1)
	own := newClient(t, gone.addr(), "report")
	own.connect()
	own.subscribe("own/#", 1)
	throughFrom(t, pub, sub, "t/probe")
	throughFrom(t, pub, own, "own/probe")
	own.disconnect()
	gone.stop()
	pub.publishNumbered("t/1", "m", 0, 50, 1)
	eventually(t, "the edge is at the other core", func() bool { return other.hasLink("edge") })
	drain(sub)
	eventually(t, "core-1 keeps nothing for the core that has stopped", func() bool { return core1.backlog() == 0 })
	pub.publishNumbered("own/1", "m", 0, 5, 1)
	pub.publishNumbered("t/1", "m", 50, 60, 1)
	eventually(t, "only the session's messages wait at core-1", func() bool { return core1.backlog() == 5 })
	gone.restart()
	own = newClient(t, gone.addr(), "report")
	own.connect()
	wantEachOnce(t, own, 5)
}

// silent is an address that accepts connections and never answers.
func silent(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// refusing is an address where nobody listens.
func refusing(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

// Addresses of no use that come first cost an edge less than two seconds: at its start, when its core comes back, and at its own return. What comes first
// is a hash of the addresses, so there are several, and the core is seldom the first one.
func TestP4FaultUselessAddresses(t *testing.T) {
	t.Parallel()
	within := scaled(4*time.Second, 2*time.Second) // the short form shares the machine with the tests of other packages
	for how, useless := range map[string]func(*testing.T) string{"refusing": refusing, "silent": silent} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			core := startCore(t, "core-1")
			edge := startEdge(t, "edge-a", strings.Join([]string{useless(t), useless(t), useless(t), useless(t), core.addr()}, ","))
			linked := func(why string) {
				t.Helper()
				began := time.Now()
				eventually(t, why, func() bool { return edge.linksUp() == 1 })
				took := time.Since(began)
				t.Logf("%s: within %v", why, took.Round(time.Millisecond))
				if took > within {
					t.Errorf("%s: took %v, want at most %v", why, took, within)
				}
			}
			linked("linked at the start")
			core.kill()
			eventually(t, "the edge has noticed it", func() bool { return edge.linksUp() == 0 })
			core.restart()
			linked("linked when the core is back")
			edge.kill()
			edge.restart()
			linked("linked when the edge is back")
		})
	}
}
