package bridge

import (
	"testing"

	"mangrove/bridge/reconcile"
	"mangrove/internal/hlc"
)

func TestRetainedGoesToAllCores(t *testing.T) {
	cores := newCores(t, "x", "y", "z")
	a := newEdge(t, "a", cores[0])
	if err := a.publish("t", "v", 0, true); err != nil {
		t.Fatal(err)
	}
	for _, c := range cores {
		eventually(t, c.name+" holds it", func() bool { return c.retained.get("t") == "v" })
	}
	if err := a.publish("t", "", 1, true); err != nil {
		t.Fatal(err)
	}
	for _, c := range cores {
		eventually(t, c.name+" has dropped it", func() bool { return c.retained.get("t") == "" })
	}
}

// Retained messages go to a core also while it is away.
func TestRetainedWaitsForCore(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	y.stop()
	x.wantState("y", "connecting")
	if err := x.publish("t", "v", 0, true); err != nil {
		t.Fatal(err)
	}
	y.start()
	join(x, y)
	eventually(t, "y holds it", func() bool { return y.retained.get("t") == "v" })
}

func TestRetainedToNewCore(t *testing.T) {
	x := newCore(t, "x")
	for _, p := range numbered("", 0, 20) {
		if err := x.publish("t/"+p, p, 1, true); err != nil {
			t.Fatal(err)
		}
	}
	y := newCore(t, "y")
	join(x, y)
	for _, p := range numbered("", 0, 20) {
		eventually(t, "y holds t/"+p, func() bool { return y.retained.get("t/"+p) == p })
	}
}

func TestRetainedToNewFilter(t *testing.T) {
	x := newCore(t, "x")
	b := newEdge(t, "b", x)
	b.wantState("x", "up")
	for _, topic := range []string{"t/1", "t/2", "other"} {
		if err := x.publish(topic, "v", 1, true); err != nil {
			t.Fatal(err)
		}
	}
	sub := b.subscribe("s", "t/+", 1)
	sub.want(t, "v", "v")
	for _, m := range sub.messages() {
		if !m.Retain || !m.Replay {
			t.Errorf("got retain %v, replay %v, want both", m.Retain, m.Replay)
		}
	}
	// A wider filter brings what is missing, not what is there.
	wide := b.subscribe("wide", "#", 1)
	wide.want(t, "v")
	sub.want(t, "v", "v")
	// A retained message published now is live.
	if err := x.publish("t/1", "w", 1, true); err != nil {
		t.Fatal(err)
	}
	sub.want(t, "v", "v", "w")
	if m := sub.messages()[2]; m.Replay {
		t.Errorf("got a replay, want a live message")
	}
	x.drained("b")
}

// Package reconcile does not know the clock.
func TestUndatedIsTheFirstTime(t *testing.T) {
	if reconcile.Undated != hlc.First {
		t.Errorf("got %d, want %d", reconcile.Undated, hlc.First)
	}
}
