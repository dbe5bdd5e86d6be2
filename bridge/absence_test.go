package bridge

import (
	"fmt"
	"testing"
	"time"

	"mangrove/mqtt"
)

func wish(filter string) mqtt.Subscription { return mqtt.Subscription{Filter: filter, QoS: 1} }

// A core stops in order, for good as far as anybody knows: its edges, elsewhere, get what is published and what was queued for
// it meanwhile; nothing but what its own clients want is kept for it, retained messages neither. When it comes back nothing is missing or
// doubled.
func TestCoreStoppedInOrder(t *testing.T) {
	t.Parallel()
	f := startLost(t, 20*time.Millisecond)
	f.b.subscribe("s2", "other", 1)
	own := f.y.subscribe("own", "own", 1)
	f.x.wantInterest("y", "own", true)
	f.x.wantInterest("y", "other", true)
	f.x.mustPublish("t", 1, numbered("m", 0, 5)...)
	f.sub.want(t, numbered("m", 0, 5)...)
	f.b.b.SetCores(nil, false)
	f.y.b.Leave(t.Context(), []string{"own"})
	f.y.router.Subscribe(own, wish("after")) // it was not among those to keep
	for _, n := range []*node{f.x, f.z} {
		n.wantInterest("y", "after", true)
	}
	f.y.stop()
	f.x.mustPublish("t", 1, numbered("m", 5, 10)...)
	<-time.After(100 * time.Millisecond) // nothing of it may be forgotten while b is attached nowhere
	f.b.dial(f.z)
	f.sub.want(t, numbered("m", 0, 10)...)
	for _, n := range []*node{f.x, f.z} {
		n.wantInterest("y", "t", false)
		n.wantInterest("y", "other", false)
		n.wantInterest("y", "own", true)
		n.wantInterest("y", "after", true)
	}
	f.x.mustPublish("t", 1, numbered("m", 10, 15)...)
	f.x.mustPublish("own", 1, numbered("o", 0, 5)...)
	if err := f.x.publish("own", "o5", 1, true); err != nil {
		t.Fatal(err)
	}
	if err := f.x.publish("retained", "v", 1, true); err != nil {
		t.Fatal(err)
	}
	f.x.mustPublish("after", 1, "o6")
	eventually(t, "x keeps for y what is its own", func() bool { return f.x.backlog("y") == 7 })
	f.x.restart()
	join(f.x, f.z)
	f.b.wantState("z", "up")
	if err := f.x.publish("retained2", "v", 1, true); err != nil {
		t.Fatal(err)
	}
	if got := f.x.backlog("y"); got != 7 {
		t.Errorf("got %d messages for y after a restart, want 7", got)
	}
	f.y.start()
	f.y.router.Subscribe(own, wish("own"))
	f.y.router.Subscribe(own, wish("after"))
	join(f.cores...)
	own.wantOnce(t, numbered("o", 0, 7)...) // o5, which is retained, may come ahead from z
	eventually(t, "y holds what is retained", func() bool {
		return f.y.retained.get("retained") == "v" && f.y.retained.get("retained2") == "v"
	})
	f.sub.want(t, numbered("m", 0, 15)...)
	f.x.drained("y")
	f.b.dial(f.y)
	f.z.cut()
	f.b.wantState("y", "up")
	f.x.mustPublish("t", 1, "later")
	f.sub.want(t, append(numbered("m", 0, 15), "later")...)
}

// An edge that is attached nowhere, or that comes back to the core, misses nothing; nor does a subscription that was made after the
// core had told what to keep.
func TestCoreStoppedAndStartedAgain(t *testing.T) {
	t.Parallel()
	f := startLost(t, 20*time.Millisecond)
	late := f.y.subscribe("late", "before", 1)
	f.x.wantInterest("y", "before", true)
	f.b.b.SetCores(nil, false)
	f.y.b.Leave(t.Context(), []string{"before"})
	f.y.router.Subscribe(late, wish("after"))
	f.x.wantInterest("y", "after", true)
	f.y.stop()
	f.x.mustPublish("t", 1, numbered("m", 0, 10)...)
	<-time.After(100 * time.Millisecond)
	f.x.mustPublish("before", 1, "1")
	f.x.mustPublish("after", 1, "2")
	f.y.start()
	f.y.router.Subscribe(late, wish("before"))
	f.y.router.Subscribe(late, wish("after"))
	join(f.cores...)
	f.b.dial(f.y)
	f.sub.want(t, numbered("m", 0, 10)...)
	late.want(t, "1", "2")
	f.x.mustPublish("t", 1, "later")
	f.sub.want(t, append(numbered("m", 0, 10), "later")...)
}

// A core that is killed tells nothing: all is kept for it; but its edges, elsewhere, get what was queued for it without waiting for it.
func TestCoreKilled(t *testing.T) {
	t.Parallel()
	f := startLost(t, 20*time.Millisecond)
	f.b.b.SetCores(nil, false)
	f.y.stop()
	f.x.mustPublish("t", 1, numbered("m", 0, 10)...)
	f.b.dial(f.z)
	f.sub.want(t, numbered("m", 0, 10)...)
	f.x.mustPublish("t", 1, numbered("m", 10, 15)...)
	f.sub.want(t, numbered("m", 0, 15)...)
	if got := f.x.backlog("y"); got < 15 {
		t.Errorf("got %d messages for y, want all 15 kept", got)
	}
	f.y.start()
	join(f.cores...)
	f.x.drained("y")
	f.sub.want(t, numbered("m", 0, 15)...)
}

// While the core stops it takes no edge: peers would not be told.
func TestNoEdgeAttachesToACoreThatStops(t *testing.T) {
	x := newCore(t, "x")
	x.b.Leave(t.Context(), nil)
	b := newEdge(t, "b", x)
	eventually(t, "b was refused", func() bool { return b.b.metrics.dials.Get() > 2 })
	if n := x.b.lookup("b"); n != nil && n.snapshot().settled > 0 { // greeted for a moment it may be
		t.Errorf("got b %+v, want it refused", x.status("b"))
	}
}

// How much is copied at a time is bounded.
func TestClaimsAreServedInSteps(t *testing.T) {
	f := startLost(t, time.Hour)
	n := f.x.b.lookup("y")
	f.y.stop()
	for i := range 20 {
		n.setStay(fmt.Sprint("e", i), stay{store: 1, attach: 1, left: true})
		f.x.b.lookup("z").setStay(fmt.Sprint("e", i), stay{store: 1, attach: 2})
	}
	if got := len(n.dueClaims(500)); got != 20 {
		t.Errorf("got %d claims on an empty queue, want 20", got)
	}
	f.x.mustPublish("t", 1, numbered("m", 0, 100)...)
	if got := len(n.dueClaims(500)); got != 5 {
		t.Errorf("got %d claims on 100 messages at 500 a step, want 5", got)
	}
}
