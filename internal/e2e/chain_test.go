package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"mangrove/internal/sim"
)

// chain is edge-a ⇄ core-1 ⇄ core-2 ⇄ edge-c, each ⇄ through a proxy: there is one path, and it can fail anywhere.
type chain struct {
	core1, core2, edgeA, edgeC *node
	lines                      []*sim.Proxy
}

func startChain(t *testing.T) *chain {
	t.Helper()
	c := &chain{core1: startCore(t, "core-1"), core2: startCore(t, "core-2")}
	toCore2 := startProxy(t, c.core2.addr())
	c.core2.stop()
	c.core2.args = append(c.core2.args, "--join", c.core1.ready.Gossip, "--advertise", toCore2.Addr())
	c.core2.restart() // core-1 dials it, through the proxy that it announces
	a, b := startProxy(t, c.core1.addr()), startProxy(t, c.core2.addr())
	c.edgeA, c.edgeC = startEdge(t, "edge-a", a.Addr()), startEdge(t, "edge-c", b.Addr())
	c.lines = []*sim.Proxy{a, toCore2, b}
	eventually(t, "the chain is linked", func() bool {
		return c.core1.linksUp() == 2 && c.core2.linksUp() == 2 && toCore2.Connections() > 0
	})
	return c
}

// repeats sums what nodes recognised as repeats on their links, since each one's start.
func repeats(nodes ...*node) (sum int) {
	for _, n := range nodes {
		for _, l := range n.status().Links {
			sum += l.Repeats
		}
	}
	return sum
}

// bothWays loads the way between two edges with publishers of QoS 1 and 2 at each, whose messages subscribers at the
// other want.
func bothWays(t *testing.T, edgeA, edgeC *node) *load {
	t.Helper()
	l := startLoad(t)
	for _, way := range []struct {
		name     string
		from, to *node
	}{{"down", edgeA, edgeC}, {"up", edgeC, edgeA}} {
		for _, qos := range []byte{1, 2} {
			prefix := fmt.Sprintf("%s/q%d", way.name, qos)
			taker := taker{addr: way.to.addr(), id: fmt.Sprintf("display-%s-%d", way.name, qos), filter: prefix + "/#", qos: qos}
			l.subscribe(taker)
			interested(t, way.from.addr(), way.to.addr(), prefix)
			for i := range 2 {
				id := fmt.Sprintf("sensor-%s-%d%d", way.name, qos, i)
				l.publish(flow{addr: way.from.addr(), id: id, topic: prefix + "/" + id, qos: qos, pace: 5 * time.Millisecond}, taker.id)
			}
		}
	}
	l.arrived()
	return l
}

// weather makes lines fail at random until ctx ends, and leaves them healthy.
type weather struct {
	ctx    context.Context
	over   sync.WaitGroup
	mu     sync.Mutex
	faults map[string]int // by kind
}

func startWeather(ctx context.Context, lines []*sim.Proxy) *weather {
	w := &weather{ctx: ctx, faults: make(map[string]int)}
	for _, p := range lines {
		w.over.Add(1)
		go w.upon(p) // ends with ctx; over tells
	}
	return w
}

func (w *weather) upon(p *sim.Proxy) {
	defer w.over.Done()
	for w.passes(100, 900) {
		w.strike(p)
		w.passes(50, 1200)
		p.Heal()
		p.SetDelay(0, 0)
		p.SetRate(0)
	}
}

func (w *weather) strike(p *sim.Proxy) {
	kinds := map[string]func(){
		"silent":  func() { p.Cut(sim.Fault{}) },
		"cut":     func() { p.Cut(sim.Fault{Reset: true, Refuse: true}) },
		"dead":    func() { p.Cut(sim.Fault{Reset: true}) },
		"reset":   p.Reset,
		"delayed": func() { p.SetDelay(100*time.Millisecond, 100*time.Millisecond) },
		"slow":    func() { p.SetRate(20_000) },
	}
	names := []string{"silent", "cut", "dead", "reset", "delayed", "slow"}
	kind := names[rand.IntN(len(names))]
	kinds[kind]()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[kind]++
}

// passes waits a random time between from and to milliseconds; false = ctx ended.
func (w *weather) passes(from, to int) bool {
	select {
	case <-time.After(time.Duration(from+rand.IntN(to-from)) * time.Millisecond):
		return true
	case <-w.ctx.Done():
		return false
	}
}

// killInTurn kills random nodes and starts them again, in bad weather; it settles when the sky is clear.
func killInTurn(t *testing.T, l *load, kills int, nodes []*node, lines []*sim.Proxy) tally {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := startWeather(ctx, lines)
	recognised, killed := 0, make(map[string]int)
	for range kills {
		randomly(200*time.Millisecond, 900*time.Millisecond)
		victim := nodes[rand.IntN(len(nodes))]
		recognised += repeats(victim)
		victim.kill()
		victim.restart()
		killed[victim.ready.Node]++
	}
	cancel()
	w.over.Wait()
	sum := l.settle(90*time.Second, nodes...)
	t.Logf("kill -9: %v; faults of lines: %v; links recognised %d repeats and more", killed, w.faults, recognised+repeats(nodes...))
	return sum
}

// Any node of a chain is killed in turn, while all lines fail and heal at random.
func TestP1FaultChainOfKilledNodesAndCutLines(t *testing.T) {
	c := startChain(t)
	l := bothWays(t, c.edgeA, c.edgeC)
	sum := killInTurn(t, l, scaled(3, 60), []*node{c.edgeA, c.core1, c.core2, c.edgeC}, c.lines)
	sum.check(t)
}

// The same where each edge has two cores to go to, by lines that fail each for itself: nothing is lost or doubled
// although edges move at any moment. There is more than one path, so order is not asked for.
func TestP1FaultMeshOfKilledNodesAndCutLines(t *testing.T) {
	core1, core2 := startCores(t)
	lines := make([]*sim.Proxy, 4)
	for i := range lines {
		lines[i] = startProxy(t, []*node{core1, core2}[i%2].addr())
	}
	edgeA := startEdge(t, "edge-a", lines[0].Addr()+","+lines[1].Addr())
	edgeC := startEdge(t, "edge-c", lines[3].Addr()+","+lines[2].Addr())
	eventually(t, "the edges are linked", func() bool { return edgeA.linksUp() == 1 && edgeC.linksUp() == 1 })
	l := bothWays(t, edgeA, edgeC)
	sum := killInTurn(t, l, scaled(3, 60), []*node{edgeA, core1, core2, edgeC}, lines)
	sum.checkArrived(t)
}
