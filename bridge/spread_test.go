package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mangrove/bridge/frame"
)

// spreading has a core look every few milliseconds.
func spreadingSoon(c *Config) { c.SpreadEvery = 10 * time.Millisecond }

// never has a core ask no edge.
func spreadingNever(c *Config) { c.SpreadEvery = -1 }

// spreadCores are cores that are linked to each other.
func spreadCores(t *testing.T, tweak func(*Config), names ...string) (cores []*node) {
	for _, name := range names {
		cores = append(cores, newNode(t, RoleCore, name, tweak))
	}
	join(cores...)
	for _, c := range cores {
		for _, p := range cores {
			if c != p {
				c.wantState(p.name, "up")
			}
		}
	}
	return cores
}

// ask has a core ask an edge to link to another core.
func (n *node) ask(edge string, to *node) {
	n.t.Helper()
	n.wantState(edge, "up")
	n.b.lookup(edge).ask(frame.Core{Name: to.name, Addr: to.addr}, time.Now())
}

// edges is how many edges each core has.
func edgesAt(cores []*node) (all []int) {
	for _, c := range cores {
		all = append(all, c.b.ownLoad().Edges)
	}
	return all
}

// An edge that is asked goes; the old link stays until the new one is there. The core knows it, and the edge goes there first
// from then on, also after a restart.
func TestEdgeGoesWhereItIsAsked(t *testing.T) {
	cores := spreadCores(t, spreadingNever, "x", "y", "z")
	b := newEdge(t, "b", cores...)
	sub := b.subscribe("s", "t", 1)
	eventually(t, "b is linked", func() bool { return b.b.Status()[0].State == "up" })
	at := slices.IndexFunc(cores, func(c *node) bool { return c.name == b.b.Status()[0].Name })
	x, y := cores[at], cores[(at+1)%3]
	x.wantInterest("b", "t", true)
	x.ask("b", y)
	b.wantState(y.name, "up")
	y.wantInterest("b", "t", true)
	x.wantState("b", "moved")
	if got := x.b.Spread(); got.Asked != 1 || got.Moved != 1 || got.Stayed != 0 {
		t.Errorf("got %+v, want one edge asked and moved", got)
	}
	x.mustPublish("t", 1, "m")
	sub.want(t, "m")
	for _, way := range [][2]*node{{y, x}, {x, y}} { // and on, and back
		way[0].ask("b", way[1])
		b.wantState(way[1].name, "up")
		way[1].wantInterest("b", "t", true)
		way[0].wantState("b", "moved")
	}
	for range 3 {
		b.b.uplink.n.link.Load().fail(errReplaced, nil)
		b.wantState(y.name, "up")
	}
	b.restart()
	b.dial(cores...)
	eventually(t, "b is linked", func() bool { return b.b.Status()[0].State == "up" })
	if got := b.b.Status()[0].Name; got != y.name {
		t.Errorf("after a restart: got b at %s, want it at %s", got, y.name)
	}
	y.setDeaf(true) // what cannot be reached is not tried first for ever
	eventually(t, "b is elsewhere", func() bool { s := b.b.Status()[0]; return s.State == "up" && s.Name != y.name })
	if got := b.b.uplink.n.snapshot().movedTo; got != "" {
		t.Errorf("got %s as the place that is tried first, want none", got)
	}
}

// An edge that cannot reach the place keeps its link, says so, and is not asked again for a while that doubles.
func TestEdgeStaysWhereItCan(t *testing.T) {
	cores := spreadCores(t, spreadingNever, "x", "y")
	x, y := cores[0], cores[1]
	b := newEdge(t, "b", x)
	x.wantState("b", "up")
	b.wantState("x", "up")
	link := b.b.uplink.n.link.Load()
	x.ask("b", y) // which is not among the cores that b was given
	stayed := func(n int) func() bool {
		return func() bool { return x.b.Spread().Stayed == n }
	}
	eventually(t, "b stays", stayed(1))
	b.dial(x, y)
	y.setDeaf(true)
	for times := 2; times <= 3; times++ {
		before := time.Now()
		x.ask("b", y)
		eventually(t, "b stays", stayed(times))
		n := x.b.lookup("b")
		n.mu.Lock()
		again := n.asked.again
		n.mu.Unlock()
		if n.mayBeAsked(again.Add(-1)) || again.Before(before) {
			t.Errorf("b may be asked again before %v", again)
		}
	}
	if b.b.uplink.n.link.Load() != link || b.status("x").State != "up" {
		t.Error("b has lost its link to x")
	}
	if got := x.b.Spread(); got.Asked != 3 || got.Moved != 0 {
		t.Errorf("got %+v, want three times asked", got)
	}
	y.setDeaf(false)
	x.ask("b", y)
	b.wantState("y", "up")
	eventually(t, "x knows", func() bool { return x.b.Spread().Moved == 1 })
}

func TestAskPausesDouble(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.SpreadEvery = time.Second })
	newEdge(t, "b", x)
	x.wantState("b", "up")
	n, now := x.b.lookup("b"), time.Now()
	for _, want := range []time.Duration{6, 12, 24, 48, 96, 192, 360, 360} {
		n.stayed(now)
		n.mu.Lock()
		got := n.asked.again.Sub(now)
		n.mu.Unlock()
		if got != want*time.Second {
			t.Errorf("got a pause of %v, want %v", got, want*time.Second)
		}
	}
	l := n.link.Load()
	for range 2 { // it goes, and is back at once
		n.mu.Lock()
		n.asked.to, n.asked.link, n.asked.at = "y", l, now
		n.mu.Unlock()
		n.wentAway(now)
		n.mu.Lock()
		n.cameBackLocked(now.Add(time.Second))
		again := n.asked.again
		n.mu.Unlock()
		if got := again.Sub(now); got != 361*time.Second {
			t.Errorf("back at once: got a pause of %v, want 361 s", got)
		}
	}
	n.mu.Lock()
	n.asked.moved = now
	n.cameBackLocked(now.Add(time.Hour))
	got := n.asked
	n.mu.Unlock()
	if got != (asked{}) {
		t.Errorf("back after an hour: got %+v, want it as good as any", got)
	}
}

// P1, P2: with messages flowing both ways edges spread over cores where all were at one, over a core that is new, and over
// those that are left when one is gone; nothing is lost, nothing comes twice, and then they stay.
func TestEdgesSpreadAmidMessages(t *testing.T) {
	cores := []*node{newNode(t, RoleCore, "x", spreadingSoon), newNode(t, RoleCore, "y", spreadingSoon), newNode(t, RoleCore, "z", spreadingSoon)}
	up := cores[2].subscribe("up", "up/#", 1)
	var edges []*node
	var down []*testClient
	for i := range 6 {
		e := newEdge(t, fmt.Sprint("e", i), cores[0])
		edges, down = append(edges, e), append(down, e.subscribe("s", "down", 1))
		cores[0].wantInterest(e.name, "down", true)
	}
	for _, e := range edges {
		e.dial(cores...)
	}
	join(cores...)
	for _, c := range cores[1:] {
		c.wantInterest("x", "down", true)
	}
	cores[0].wantInterest("z", "up/#", true)
	sent := 0
	publish := func() {
		for i, e := range edges {
			e.mustPublish("up/"+e.name, 1, fmt.Sprintf("%s %d", e.name, sent))
			cores[i%len(cores)].mustPublish("down", 1, fmt.Sprintf("%d %d", sent, i))
		}
		sent++
	}
	spreadTo := func(want ...int) {
		t.Helper()
		eventually(t, fmt.Sprint("edges are spread as ", want), func() bool {
			publish()
			return slices.Equal(edgesAt(cores), want)
		})
	}
	spreadTo(2, 2, 2)
	eventually(t, "x has spread them", func() bool { s := cores[0].b.Spread(); return s.Moved == 4 && !s.Active })
	for range 5 {
		publish()
	}
	for i, c := range cores {
		if got := c.b.Spread(); i > 0 && got.Asked > 0 || got.Asked > 4 {
			t.Errorf("%s asked %d edges, want four that x asked", c.name, got.Asked)
		}
	}
	for _, sub := range append(down, up) {
		eventually(t, sub.id+" has all", func() bool { return len(sub.payloads()) >= 6*sent })
		all := sub.payloads()
		slices.Sort(all)
		if n := len(slices.Compact(all)); n != 6*sent || len(sub.payloads()) != n {
			t.Errorf("%s: got %d messages, %d of them different, want %d", sub.id, len(sub.payloads()), n, 6*sent)
		}
	}
}

// What is against asking an edge is said, and none is asked.
func TestSpreadingHolds(t *testing.T) {
	cores := spreadCores(t, spreadingNever, "x", "y")
	x, y := cores[0], cores[1]
	newEdge(t, "b", x)
	x.wantState("b", "up")
	now := time.Now()
	tell := func(f frame.Load) { x.b.lookup("y").load.Store(&toldLoad{f, x.b.lookup("y").link.Load(), now}) }
	good := frame.Load{Weight: 1, Members: x.b.ownLoad().Members}
	hold := func(why string) {
		t.Helper()
		if got := x.b.spreadView(x.b.ownLoad(), now).Hold; got != why {
			t.Errorf("got %q, want %q", got, why)
		}
	}
	hold("y has not told how many edges it has")
	tell(good)
	hold("")
	busy, other := good, good
	busy.Busy, other.Members = true, 7
	tell(busy)
	hold("messages are being handed over, or waited for, at y")
	tell(other)
	hold("y knows other cores")
	tell(good)
	now = now.Add(time.Minute)
	hold("y has not told how many edges it has")
	now = now.Add(-time.Minute)
	x.b.lookup("y").load.Store(&toldLoad{good, nil, now})
	hold("y has not told how many edges it has") // over this link
	tell(good)
	self, peer := frame.Core{Name: "x", Addr: x.addr}, frame.Core{Name: "y", Addr: y.addr}
	list := func(cores ...frame.Core) { x.b.cores.Store(&coreList{cores}) }
	x.b.SetPeers([]Peer{{Name: "x", Addr: x.addr}, {Name: "y", Addr: y.addr, Suspect: true}})
	hold("y is suspected")
	x.b.SetPeers([]Peer{{Name: "x", Addr: x.addr}, {Name: "y", Addr: y.addr}})
	list(peer)
	hold("y knows other cores")
	other.Members = x.b.ownLoad().Members
	tell(other)
	hold("edges are not told of this core")
	list(self)
	hold("y is linked, but no member")
	list(self, peer)
	x.b.settling.shut = true
	hold("messages are being handed over, or waited for")
	x.b.settling.shut = false
	l := x.b.lookup("y").link.Load()
	l.mu.Lock()
	l.theirs.Features &^= frame.FeatureSpread
	l.mu.Unlock()
	hold("y is of a version that does not tell how many edges it has")
	y.setDeaf(true)
	l.fail(errSilent, nil)
	x.wantState("y", "connecting")
	hold("no link to y")
}

// An edge is asked only when it understands that, has been linked for a while, and nothing waits for it.
func TestWhoMayBeAsked(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.SpreadEvery = time.Minute })
	r := openRaw(t, x, "e")
	h := frame.Hello{Name: "e", Store: 7, Role: frame.RoleEdge, Attach: 1, Window: 1, WindowBytes: 1 << 20, MaxBytes: 1 << 20, Features: frame.FeatureSpread}
	r.send(frame.KindHello, h.Append(nil))
	x.wantState("e", "up")
	n, later := x.b.lookup("e"), time.Now().Add(time.Hour)
	may := func(why string, at time.Time, want bool) {
		t.Helper()
		if got := n.mayBeAsked(at); got != want {
			t.Errorf("%s: got %v, want %v", why, got, want)
		}
	}
	may("linked for a while", later, true)
	may("linked just now", time.Now(), false)
	l := n.link.Load()
	l.theirs.Features = 0
	may("of an earlier version", later, false)
	l.theirs.Features = frame.FeatureSpread
	n.part.name = 1
	may("a part of a message has come", later, false)
	n.part.name = 0
	n.whole.Store(&whole{})
	may("a message goes in parts", later, false)
	n.whole.Store(nil)
	n.subscribe(n, "t", 1)
	x.mustPublish("t", 1, numbered("m", 0, behindMessages)...)
	may("what is under way", later, true)
	x.mustPublish("t", 1, "one too many")
	may("behind", later, false)
	n.queue.Ack(l, 1<<40)
	n.asked.to = "y"
	may("asked already", later, false)
}

// What is asked of a node by somebody who may not ask is not done.
func TestMoveIsForEdges(t *testing.T) {
	cores := spreadCores(t, spreadingNever, "x", "y")
	x := cores[0]
	r := openRaw(t, x, "e")
	r.send(frame.KindHello, edgeHello("e"))
	x.wantState("e", "up")
	r.send(frame.KindMove, frame.Move{Name: "y", Addr: cores[1].addr}.Append(nil))
	r.send(frame.KindMove, frame.Move{Answer: frame.MoveFailed, Name: "y"}.Append(nil))
	r.send(frame.KindLoad, frame.Load{Edges: 1000}.Append(nil))
	x.wantState("e", "up")
	if got := x.b.Spread(); got.Stayed != 0 || x.b.lookup("e").load.Load() != nil {
		t.Errorf("got %+v, want nothing of it", got)
	}
}

// Spreading is told when it begins and when it ends, once.
func TestSpreadingIsTold(t *testing.T) {
	var log lockedLog
	cores := []*node{newNode(t, RoleCore, "x", func(c *Config) { spreadingSoon(c); logged(&log)(c) }), newNode(t, RoleCore, "y", spreadingSoon)}
	for i := range 4 {
		e := newEdge(t, fmt.Sprint("e", i), cores[0])
		cores[0].wantState(e.name, "up")
		e.dial(cores...)
	}
	join(cores...)
	eventually(t, "edges are spread", func() bool { return log.count("edges are spread") == 1 })
	if got := log.count("not spread evenly"); got != 1 || !strings.Contains(log.String(), "edges.x=4 edges.y=0") {
		t.Errorf("got %d lines that it begins: %s", got, log.String())
	}
	if got := edgesAt(cores); !slices.Equal(got, []int{2, 2}) {
		t.Errorf("got %v, want 2 and 2", got)
	}
	if s := cores[0].b.Spread(); len(s.Cores) != 2 || s.Cores[0].Share != 2 || s.Cores[1].Core != "y" {
		t.Errorf("got %+v", s)
	}
}
