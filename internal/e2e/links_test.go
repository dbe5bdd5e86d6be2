package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mangrove/internal/sim"
)

// fleet is two cores that know each other and two edges, edge-a on core-1 and edge-c on core-2, edge-a's
// uplink through a proxy that tests can cut.
type fleet struct {
	core1, core2, edgeA, edgeC *node
	uplink                     *sim.Proxy
}

func startCores(t *testing.T) (core1, core2 *node) {
	t.Helper()
	core1 = startCore(t, "core-1")
	core2 = startCore(t, "core-2", "--join", core1.ready.Gossip)
	eventually(t, "the cores are linked", func() bool { return core1.linksUp() == 1 && core2.linksUp() == 1 })
	return core1, core2
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	f := new(fleet)
	f.core1, f.core2 = startCores(t)
	f.uplink = startProxy(t, f.core1.addr())
	f.edgeA = startEdge(t, "edge-a", f.uplink.Addr())
	f.edgeC = startEdge(t, "edge-c", f.core2.addr())
	eventually(t, "the edges are linked", func() bool { return f.edgeA.linksUp() == 1 && f.edgeC.linksUp() == 1 })
	return f
}

// subscribed connects a subscriber and returns when its interest has reached the publisher's core: when a
// first message came through.
func (f *fleet) subscribed(t *testing.T, pub *client, id, filter, topic string, qos byte) *client {
	t.Helper()
	sub := dial(t, f.edgeC.addr(), id)
	sub.subscribe(filter, qos)
	throughFrom(t, pub, sub, topic)
	return sub
}

// throughFrom publishes probes until one arrives, and takes those that follow it.
func throughFrom(t *testing.T, pub, sub *client, topic string) {
	t.Helper()
	sent := 0
	eventually(t, "a probe comes through on "+topic, func() bool {
		pub.publish(topic, "probe", 1, false)
		sent++
		return len(sub.messages) > 0
	})
	pub.publish(topic, "probes end", 1, false)
	for {
		m := <-sub.messages
		if string(m.Payload) == "probes end" {
			return
		}
		if string(m.Payload) != "probe" {
			t.Fatalf("got %q, want probes only", m.Payload)
		}
	}
}

func TestP3OrderThroughTwoCores(t *testing.T) {
	f := startFleet(t)
	pub := dial(t, f.edgeA.addr(), "sensor")
	sub := f.subscribed(t, pub, "display", "plant/+/temperature", "plant/1/temperature", 2)
	local := dial(t, f.edgeA.addr(), "local")
	local.subscribe("plant/#", 1)
	for _, qos := range []byte{0, 1, 2} {
		prefix := string('0' + rune(qos))
		pub.publishNumbered("plant/1/temperature", prefix, 0, 20, qos)
		sub.wantNumbered("through two cores", "plant/1/temperature", prefix, 0, 20)
		local.wantNumbered("at the edge itself", "plant/1/temperature", prefix, 0, 20)
	}
	sub.wantNothingBefore("nothing came twice", pub, "plant/1/temperature", "end")
	local.want("nothing looped back", "plant/1/temperature", "end")
}

func TestInterestDecidesWhereAMessageGoes(t *testing.T) {
	f := startFleet(t)
	pub := dial(t, f.edgeA.addr(), "sensor")
	f.subscribed(t, pub, "display", "wanted/#", "wanted/1", 1)
	before := linkReceived(t, f.edgeC)
	pub.publishNumbered("unwanted/1", "m", 0, 50, 1)
	pub.publish("wanted/1", "marker", 1, false)
	eventually(t, "the marker reached edge-c", func() bool { return linkReceived(t, f.edgeC) > before })
	if got := linkReceived(t, f.edgeC) - before; got != 1 {
		t.Errorf("edge-c received %d messages over its link, want 1: only what it wants", got)
	}
}

// linkReceived sums the messages received over a node's links.
func linkReceived(t *testing.T, n *node) (sum int) {
	t.Helper()
	for _, l := range n.status().Links {
		sum += l.Received
	}
	return sum
}

func TestRetainedReachesLaterSubscriberAtAnotherEdge(t *testing.T) {
	f := startFleet(t)
	pub := dial(t, f.edgeA.addr(), "sensor")
	pub.publish("site/a/config", "v1", 1, true)
	eventually(t, "edge-a's queue is empty", func() bool { return f.edgeA.backlog() == 0 })
	sub := dial(t, f.edgeC.addr(), "display")
	sub.subscribe("site/+/config", 1)
	if m := sub.want("retained from another edge", "site/a/config", "v1"); !m.Retain {
		t.Errorf("got RETAIN 0, want 1")
	}
	late := dial(t, f.edgeC.addr(), "later")
	late.subscribe("site/#", 1)
	if m := late.want("retained is at the edge now", "site/a/config", "v1"); !m.Retain {
		t.Errorf("got RETAIN 0, want 1")
	}
}

func TestP4LocalFirstWithTheUplinkCut(t *testing.T) {
	f := startFleet(t)
	pub := dial(t, f.edgeA.addr(), "sensor")
	sub := f.subscribed(t, pub, "display", "t", "t", 1)
	pub.publishNumbered("t", "m", 0, 100, 1)
	f.uplink.Cut(sim.Fault{Reset: true, Refuse: true})
	local := dial(t, f.edgeA.addr(), "local")
	local.subscribe("t", 1)
	pub.publishNumbered("t", "m", 100, 300, 1)
	local.wantNumbered("local traffic goes on without the uplink", "t", "m", 100, 300)
	if got := f.edgeA.backlog(); got < 200 {
		t.Errorf("got a backlog of %d messages, want at least the 200 published since the cut", got)
	}
	f.uplink.Heal()
	sub.wantNumbered("the queue drains in order, nothing twice", "t", "m", 0, 300)
	eventually(t, "the queue is empty", func() bool { return f.edgeA.backlog() == 0 })
}

func TestP1KeptWhenTheEdgeIsKilledBeforeForwarding(t *testing.T) {
	f := startFleet(t)
	pub := dial(t, f.edgeA.addr(), "sensor")
	sub := f.subscribed(t, pub, "display", "t", "t", 2)
	f.uplink.Cut(sim.Fault{Reset: true, Refuse: true})
	pub.publishNumbered("t", "one", 0, 100, 1)
	pub.publishNumbered("t", "two", 0, 100, 2)
	f.edgeA.kill()
	f.uplink.Heal()
	f.edgeA.restart()
	one, two := 0, 0
	for one+two < 200 {
		select {
		case m := <-sub.messages:
			switch want1, want2 := numbered("one", one), numbered("two", two); string(m.Payload) {
			case want1:
				one++
			case want2:
				two++
			default:
				t.Fatalf("got %q, want %q or %q", m.Payload, want1, want2)
			}
		case <-afterWait():
			t.Fatalf("got %d of 100 QoS 1 and %d of 100 QoS 2 messages that the killed edge had acknowledged", one, two)
		}
	}
}

func TestP1KeptWhenACoreIsKilled(t *testing.T) {
	core1, core2 := startCores(t)
	edgeC := startEdge(t, "edge-c", core2.addr())
	edgeA := startEdge(t, "edge-a", core1.addr()+","+core2.addr())
	eventually(t, "both edges are linked", func() bool { return edgeA.linksUp() == 1 && edgeC.linksUp() == 1 })
	pub, sub := dial(t, edgeA.addr(), "sensor"), dial(t, edgeC.addr(), "display")
	sub.subscribe("t", 1)
	throughFrom(t, pub, sub, "t")

	pub.publishNumbered("t", "m", 0, 100, 1)
	core1.kill()
	pub.publishNumbered("t", "m", 100, 200, 1)
	core1.restart() // with edge-a's unforwarded messages, if it had any
	wantEachOnce(t, sub, 200)
	pub.publishNumbered("t", "later", 0, 20, 1)
	sub.wantNumbered("after the core is back", "t", "later", 0, 20)
}

// A core that dies with messages for an edge which has moved to another core meanwhile hands them over when it returns.
func TestP1KeptByACoreThatReturns(t *testing.T) {
	core1, core2 := startCores(t)
	to1, to2 := startProxy(t, core1.addr()), startProxy(t, core2.addr())
	to1.Cut(sim.Fault{Reset: true, Refuse: true})
	edgeC := startEdge(t, "edge-c", to2.Addr()+","+to1.Addr())
	eventually(t, "edge-c is linked to core-2", func() bool { return edgeC.linksUp() == 1 })
	pub, sub := dial(t, core1.addr(), "sensor"), dial(t, edgeC.addr(), "display")
	sub.subscribe("t", 1)
	throughFrom(t, pub, sub, "t")

	to2.Cut(sim.Fault{Reset: true, Refuse: true})
	pub.publishNumbered("t", "m", 0, 50, 1)
	eventually(t, "core-2 holds what edge-c is owed", func() bool { return core2.backlog() >= 50 })
	core2.kill()
	pub.publishNumbered("t", "m", 50, 100, 1) // core-1 keeps these for core-2
	to1.Heal()
	eventually(t, "edge-c moved to core-1", func() bool { return edgeC.linksUp() == 1 })
	throughFrom(t, pub, sub, "t")
	to2.Heal()
	core2.restart()
	wantEachOnce(t, sub, 100)
}

// A core is put back from its backup, or its disk is lost, while its edge is elsewhere: what another core kept for it goes to that edge, and to
// the sessions that the backup has.
func TestP1KeptForACoreThatLostItsMemory(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"backup", "new disk"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			core1, core2 := startCores(t)
			to1 := startProxy(t, core1.addr())
			to1.Cut(sim.Fault{Reset: true, Refuse: true})
			edgeC := startEdge(t, "edge-c", core2.addr()+","+to1.Addr())
			eventually(t, "edge-c is linked to core-2", func() bool { return edgeC.linksUp() == 1 })
			pub, sub := dial(t, core1.addr(), "sensor"), dial(t, edgeC.addr(), "display")
			sub.subscribe("t", 1)
			throughFrom(t, pub, sub, "t")
			report := dial(t, core2.addr(), "report")
			report.subscribe("t", 1)
			report.disconnect()
			file := filepath.Join(t.TempDir(), "backup")
			dataCommand(t, "backup", core2.dir, file)

			core2.kill()
			pub.publishNumbered("t", "m", 0, 50, 1) // core-1 keeps these for core-2
			to1.Heal()
			eventually(t, "edge-c moved to core-1", func() bool { return edgeC.linksUp() == 1 })
			if err := os.RemoveAll(core2.dir); err != nil {
				t.Fatal(err)
			}
			if how == "backup" {
				dataCommand(t, "restore", file, core2.dir)
			}
			core2.restart()
			pub.publishNumbered("t", "m", 50, 100, 1)
			wantEachOnce(t, sub, 100)
			if how == "backup" {
				again := newClient(t, core2.addr(), "report")
				again.connect()
				wantEachOnce(t, again, 100)
			}
		})
	}
}

// wantEachOnce wants to messages, in any order, none twice.
func wantEachOnce(t *testing.T, c *client, to int) {
	t.Helper()
	seen := make(map[string]int)
	eventually(t, "every acknowledged message is there", func() bool {
		for len(c.messages) > 0 {
			seen[string((<-c.messages).Payload)]++
		}
		return len(seen) == to
	})
	for p, n := range seen {
		if n != 1 {
			t.Errorf("got %q %d times, want once", p, n)
		}
	}
}

func TestCoresFindEachOther(t *testing.T) {
	core1, core2 := startCores(t)
	core3 := startCore(t, "core-3", "--join", core2.ready.Gossip)
	cores := []*node{core1, core2, core3}
	eventually(t, "a full mesh", func() bool {
		return core1.linksUp() == 2 && core2.linksUp() == 2 && core3.linksUp() == 2
	})
	subs := make([]*client, len(cores))
	pub := dial(t, core1.addr(), "sensor")
	for i, c := range cores {
		subs[i] = dial(t, c.addr(), "display")
		subs[i].subscribe("t/#", 1)
		throughFrom(t, pub, subs[i], "t/probe"+c.ready.Node)
	}
	for i := range cores {
		drain(subs[i])
	}
	pub.publishNumbered("t/1", "m", 0, 50, 1)
	for i, c := range cores {
		wantNumberedAfterProbes(t, subs[i], "at "+c.ready.Node, "t/1", "m", 50)
	}

	core3.kill()
	core3.restart()
	eventually(t, "a core that comes back is linked again", func() bool {
		return core1.linksUp() == 2 && core2.linksUp() == 2 && core3.linksUp() == 2
	})
	core3.kill()
	fresh := startCore(t, "core-3", "--join", core2.ready.Gossip)
	eventually(t, "a fresh node with the same name is linked", func() bool {
		return core1.linksUp() == 2 && core2.linksUp() == 2 && fresh.linksUp() == 2
	})
}

// drain takes what is there.
func drain(c *client) {
	for len(c.messages) > 0 {
		<-c.messages
	}
}

// wantNumberedAfterProbes skips probes that were still on their way.
func wantNumberedAfterProbes(t *testing.T, c *client, why, topic, prefix string, to int) {
	t.Helper()
	for i := 0; i < to; {
		select {
		case m := <-c.messages:
			if strings.HasPrefix(string(m.Payload), "probe") {
				continue
			}
			if got, want := string(m.Payload), numbered(prefix, i); got != want || m.Topic != topic {
				t.Fatalf("%s: got %s %q, want %s %q", why, m.Topic, got, topic, want)
			}
			i++
		case <-afterWait():
			t.Fatalf("%s: got nothing, want %s", why, numbered(prefix, i))
		}
	}
}
