package bridge

import (
	"strings"
	"testing"

	"mangrove/bridge/frame"
)

// Whoever may link makes only so many names known: the next one is refused with the reason, those that are known come back, and one that
// is forgotten leaves its place.
func TestNeighboursAreBounded(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.MaxNeighbours = 2 })
	a, b := newEdge(t, "a", x), newEdge(t, "b", x)
	a.wantState("x", "up")
	b.wantState("x", "up")
	for range 2 {
		r := openRaw(t, x, "c")
		r.send(frame.KindHello, edgeHello("c"))
		eventually(t, "it is refused", func() bool { return r.frames(frame.KindGoaway) == 1 && r.isGone() })
		bye, err := frame.DecodeGoaway(r.last(frame.KindGoaway))
		if err != nil || bye.Code != frame.GoawayRefused || !strings.Contains(bye.Text, "2 are known") {
			t.Errorf("got %+v, %v", bye, err)
		}
	}
	if x.b.lookup("c") != nil || x.b.metrics.strangers.Get() != 2 {
		t.Errorf("c is known: %v; %d refused", x.b.lookup("c") != nil, x.b.metrics.strangers.Get())
	}
	a.stop()
	x.wantState("a", "down")
	again := openRaw(t, x, "a")
	again.send(frame.KindHello, edgeHello("a"))
	x.wantState("a", "up")
	again.end.Closed(nil)
	x.wantState("a", "down")
	if _, err := x.b.Forget("a"); err != nil {
		t.Fatal(err)
	}
	r := openRaw(t, x, "c")
	r.send(frame.KindHello, edgeHello("c"))
	x.wantState("c", "up")
}

// A core that gossip tells of finds room.
func TestCoreFindsRoomAmongNeighbours(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.MaxNeighbours = 1 })
	a := newEdge(t, "a", x)
	a.wantState("x", "up")
	y := newCore(t, "y")
	join(x, y)
	x.wantState("y", "up")
}
