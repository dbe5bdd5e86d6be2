package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// spreadFleet is cores and edges that know all of them, with messages of QoS 1 and 2 between edges all the time.
type spreadFleet struct {
	t     *testing.T
	file  string // configuration of the cores
	cores []*node
	edges []*node
	load  *load
}

func startSpread(t *testing.T, every time.Duration) *spreadFleet {
	t.Helper()
	f := &spreadFleet{t: t, file: filepath.Join(t.TempDir(), "core.toml"), load: startLoad(t)}
	if err := os.WriteFile(f.file, fmt.Appendf(nil, "role = \"core\"\n[core]\nspread = %q\n", every), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// addCore starts one more core, and returns when it is linked to the others.
func (f *spreadFleet) addCore() *node {
	f.t.Helper()
	extra := []string{"-c", f.file}
	if len(f.cores) > 0 {
		extra = append(extra, "--join", f.cores[0].ready.Gossip)
	}
	c := startCore(f.t, numbered("core", len(f.cores)+1), extra...)
	f.cores = append(f.cores, c)
	f.linked()
	return c
}

// linked waits until each core is linked to all others.
func (f *spreadFleet) linked() {
	f.t.Helper()
	for _, c := range f.cores {
		for _, p := range f.cores {
			if c != p {
				eventually(f.t, p.ready.Node+" is linked to "+c.ready.Node, func() bool { return c.hasLink(p.ready.Node) })
			}
		}
	}
}

// addEdges starts edges that know the first core, and hear of the others from it.
func (f *spreadFleet) addEdges(n int) {
	f.t.Helper()
	for range n {
		e := startNode(f.t, []string{"edge", "--node", numbered("edge", len(f.edges)), "--core", f.cores[0].addr()})
		f.edges = append(f.edges, e)
	}
	for _, e := range f.edges {
		eventually(f.t, e.ready.Node+" is linked", func() bool { return e.linksUp() == 1 })
	}
}

// publish has each edge publish to the next one.
func (f *spreadFleet) publish(pace time.Duration) {
	f.t.Helper()
	for i, from := range f.edges {
		to := f.edges[(i+1)%len(f.edges)]
		for _, qos := range []byte{1, 2} {
			id := fmt.Sprintf("pair-%d-%d", i, qos)
			f.load.subscribe(taker{addr: to.addr(), id: "display-" + id, filter: id + "/#", qos: qos})
			interested(f.t, from.addr(), to.addr(), id)
			f.load.publish(flow{addr: from.addr(), id: "sensor-" + id, topic: id + "/t", qos: qos, pace: pace}, "display-"+id)
		}
	}
	f.load.arrived()
}

// spreadStatus is what a core tells of how edges are spread.
type spreadStatus struct {
	Cores                []struct{ Edges, Share int }
	Active               bool
	Waits                string
	Asked, Moved, Stayed int
}

func (n *node) spread() spreadStatus {
	n.t.Helper()
	var s struct{ Spread spreadStatus }
	if err := json.Unmarshal(n.get("/api/v1/status"), &s); err != nil {
		n.t.Fatalf("decode status of %s: %v", n.ready.Node, err)
	}
	return s.Spread
}

// counts is how many edges each core is linked to.
func (f *spreadFleet) counts() (all []int) {
	for _, c := range f.cores {
		linked := 0
		for _, e := range f.edges {
			if c.hasLink(e.ready.Node) {
				linked++
			}
		}
		all = append(all, linked)
	}
	return all
}

// wantCounts waits until the cores have so many edges, and logs how that came.
func (f *spreadFleet) wantCounts(why string, within time.Duration, want ...int) {
	f.t.Helper()
	began, first := time.Now(), f.counts()
	slices.Sort(want)
	for {
		got := f.counts()
		slices.Sort(got)
		if slices.Equal(got, want) {
			break
		}
		if time.Since(began) > within {
			for _, c := range f.cores {
				f.t.Logf("%s: %+v", c.ready.Node, c.spread())
			}
			f.t.Fatalf("%s: got %v after %v, want %v", why, f.counts(), within, want)
		}
		during(20 * time.Millisecond)
	}
	f.t.Logf("%s: %v → %v in %v", why, first, f.counts(), time.Since(began).Round(10*time.Millisecond))
}

// moves sums up what the cores' edges did that were asked.
func (f *spreadFleet) moves() (asked, moved, stayed int) {
	f.t.Helper()
	for _, c := range f.cores {
		s := c.spread()
		asked, moved, stayed = asked+s.Asked, moved+s.Moved, stayed+s.Stayed
	}
	return asked, moved, stayed
}

// Edges that are all at one core spread over one that joins, while messages flow both ways: each arrives, QoS 2 once.
func TestP2EdgesSpreadOverANewCore(t *testing.T) {
	f := startSpread(t, 100*time.Millisecond)
	f.addCore()
	f.addEdges(4)
	f.publish(10 * time.Millisecond)
	f.addCore()
	f.wantCounts("a second core", 20*time.Second, 2, 2)
	during(300 * time.Millisecond)
	if asked, moved, _ := f.moves(); asked != 2 || moved != 2 {
		t.Errorf("got %d edges asked and %d moved, want two", asked, moved)
	}
	sum := f.load.settle(wait, append(f.cores, f.edges...)...)
	sum.checkOnce(t)
}

// Twelve edges stay spread over three cores that are restarted one after the other, over a fourth that joins, and when one leaves.
func TestP2FaultEdgesStaySpread(t *testing.T) {
	if !long {
		t.Skip("in make test-faults only; TestP2EdgesSpreadOverANewCore is its short form")
	}
	f := startSpread(t, time.Second)
	for range 3 {
		f.addCore()
	}
	f.addEdges(12)
	f.publish(30 * time.Millisecond)
	f.wantCounts("at first", time.Minute, 4, 4, 4)
	for range 2 {
		for _, c := range f.cores {
			if code := c.stop(); code != 0 {
				t.Errorf("%s: got exit code %d, want 0", c.ready.Node, code)
			}
			during(2 * time.Second)
			c.restart()
			f.linked()
		}
		f.wantCounts("after a rolling restart", time.Minute, 4, 4, 4)
	}
	f.addCore()
	f.wantCounts("a fourth core", time.Minute, 3, 3, 3, 3)
	if code := f.cores[1].stop(); code != 0 {
		t.Errorf("got exit code %d of a core that leaves, want 0", code)
	}
	left := f.cores[1]
	f.cores = slices.Delete(f.cores, 1, 2)
	f.wantCounts("one leaves", time.Minute, 4, 4, 4)
	f.cores[0].kill()
	gone := f.cores[0]
	f.cores = f.cores[1:]
	f.wantCounts("one is killed", time.Minute, 6, 6)
	gone.restart()
	f.cores = append(f.cores, gone)
	f.wantCounts("it is back", time.Minute, 4, 4, 4)
	before, _, _ := f.moves()
	during(10 * time.Second)
	if after, _, _ := f.moves(); after != before {
		t.Errorf("%d edges were asked to move when all was even, want none", after-before)
	}
	left.restart() // with what it had not handed on
	f.cores = append(f.cores, left)
	f.linked()
	sum := f.load.settle(2*time.Minute, append(f.cores, f.edges...)...)
	sum.checkOnce(t)
}
