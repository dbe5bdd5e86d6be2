package bridge

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mangrove/bridge/frame"
)

// watcher notes what is told of edges.
type watcher struct {
	mu    sync.Mutex
	heard map[string][]string
}

func (w *watcher) tell(edge string, known, connected bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := "0"
	switch {
	case !known:
		state = "forgotten"
	case connected:
		state = "1"
	}
	if w.heard == nil {
		w.heard = map[string][]string{}
	}
	w.heard[edge] = append(w.heard[edge], state)
}

func (w *watcher) of(edge string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.heard[edge], " ")
}

// watchEdges has a watcher told until the test ends.
func (n *node) watchEdges() *watcher {
	w, stop, done := new(watcher), make(chan struct{}), make(chan struct{})
	go func() { // ends with the test
		defer close(done)
		n.b.WatchEdges(stop, w.tell)
	}()
	n.t.Cleanup(func() { close(stop); <-done })
	return w
}

// presenceAt is one of a core whose clock the test sets.
func presenceAt(now *time.Time) *presence {
	b := &Bridge{cfg: Config{Now: func() time.Time { return *now }, AwayAfter: 3 * time.Second, SettleTime: 35 * time.Second}, started: *now}
	b.presence = newPresence(b)
	return b.presence
}

// An edge is connected while one core says so, and away when none has said so for AwayAfter. What a core said is void when its link ends.
func TestPresence(t *testing.T) {
	now := time.Now()
	p, x, y := presenceAt(&now), &neighbour{name: "x"}, &neighbour{name: "y"}
	var w watcher
	step := func(why, want string, wait time.Duration, does ...func()) {
		t.Helper()
		for _, do := range does {
			do()
		}
		now = now.Add(wait)
		p.tellNews(w.tell)
		if got := w.of("e"); got != want {
			t.Errorf("%s: got %q, want %q", why, got, want)
		}
	}
	step("known from before: nothing is told at first", "", 34*time.Second, func() { p.know("e") })
	step("and not heard of", "0", time.Second)
	step("here", "0 1", 0, func() { p.claim("e", nil) })
	step("gone, for less than AwayAfter", "0 1", 3*time.Second-1, func() { p.unclaim("e", nil) })
	step("at x: it has moved", "0 1", time.Hour, func() { p.claim("e", x) })
	step("at y before it has left x", "0 1", time.Hour, func() { p.claim("e", y); p.unclaim("e", x) })
	step("x goes, where it is not", "0 1", time.Hour, func() { p.leave(x) })
	step("y goes with it", "0 1 0", 3*time.Second, func() { p.leave(y) })
	step("back and away between two looks", "0 1 0 1", 2*time.Second, func() { p.claim("e", x); p.unclaim("e", x) })
	step("away again", "0 1 0 1 0", time.Second)
	if known, connected, away := p.b.Edges(10); known != 1 || connected != 0 || !slices.Equal(away, []string{"e"}) {
		t.Errorf("got %d known, %d connected, away %q", known, connected, away)
	}
	step("forgotten", "0 1 0 1 0 forgotten", time.Hour, func() { p.forget("e") })
	step("here again, and not forgotten while it is", "0 1 0 1 0 forgotten 1", time.Hour, func() { p.claim("e", nil); p.forget("e") })
}

// A peer is told of all edges first, in frames of a bounded size, then of changes.
func TestPresenceIsTold(t *testing.T) {
	now := time.Now()
	p, l := presenceAt(&now), &link{}
	if _, ok := p.pull(l, 1000); ok {
		t.Error("got a frame for a link that is not up")
	}
	for i := range 600 {
		p.claim(fmt.Sprint(i), nil)
	}
	p.claim("elsewhere", &neighbour{})
	p.attach(l)
	told, frames := map[string]byte{}, 0
	for f, ok := p.pull(l, 1<<20); ok; f, ok = p.pull(l, 1<<20) {
		if f.First != (frames == 0) || len(f.Edges) > frame.MaxPresence {
			t.Errorf("frame %d: got first %v, %d edges", frames, f.First, len(f.Edges))
		}
		for frames++; len(f.Edges) > 0; f.Edges = f.Edges[1:] {
			told[f.Edges[0].Edge] = f.Edges[0].State
		}
	}
	if len(told) != 600 || frames != 3 {
		t.Errorf("got %d edges in %d frames, want the 600 that are here in 3", len(told), frames)
	}
	p.unclaim("1", nil)
	if f, ok := p.pull(l, 1); !ok || f.First || !slices.Equal(f.Edges, []frame.EdgeState{{Edge: "1", State: frame.EdgeAway}}) {
		t.Errorf("got %+v, %v, want the change", f, ok)
	}
	p.detach(l)
	p.claim("1", nil)
	if _, ok := p.pull(l, 1000); ok {
		t.Error("got a frame for a link that is over")
	}
}

// Edges are bounded, whoever invents them.
func TestPresenceIsBounded(t *testing.T) {
	now := time.Now()
	p, x := presenceAt(&now), &neighbour{}
	for i := range maxStays + 10 { // the bound is that of one peer
		p.claim(fmt.Sprint(i), x)
	}
	if known, connected, _ := p.b.Edges(0); known != maxStays || connected != maxStays {
		t.Errorf("got %d known, %d connected, want %d", known, connected, maxStays)
	}
}

// Every core tells the same of each edge: also of one whose core ends with it, and of those of before, after its own restart.
func TestPresenceAtEveryCore(t *testing.T) {
	soon := func(c *Config) { c.AwayAfter, c.SettleTime = 20*time.Millisecond, 300*time.Millisecond }
	x, y := newNode(t, RoleCore, "x", soon), newNode(t, RoleCore, "y", soon)
	join(x, y)
	atX := x.watchEdges()
	a, b := newEdge(t, "a", x), newEdge(t, "b", y)
	eventually(t, "x tells of both", func() bool { return atX.of("a") == "1" && atX.of("b") == "1" })
	b.stop()
	eventually(t, "b is away", func() bool { return atX.of("b") == "1 0" })
	b.start()
	b.dial(y)
	eventually(t, "b is back", func() bool { return atX.of("b") == "1 0 1" })
	b.stop()
	y.stop()
	eventually(t, "b is away, with its core", func() bool { return atX.of("b") == "1 0 1 0" })
	y.start()
	join(x, y)
	atY := y.watchEdges()
	eventually(t, "y knows both after its restart", func() bool { return atY.of("a") == "1" && atY.of("b") == "0" })
	a.dial(y)
	a.cut()
	if got := atX.of("a"); got != "1" {
		t.Errorf("got %q of an edge that is there, want 1", got)
	}
	if _, err := y.b.Forget("b"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a forgotten edge is forgotten everywhere", func() bool {
		return atY.of("b") == "0 forgotten" && strings.HasSuffix(atX.of("b"), " forgotten")
	})
}
