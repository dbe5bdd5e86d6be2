package bridge

import (
	"errors"
	"testing"
	"time"

	"mangrove/bridge/lane"
	"mangrove/mqtt"
)

// An operator's purge drops what waits, counts it, and what comes later arrives; nothing of it comes back after a restart.
func TestPurge(t *testing.T) {
	for _, waiting := range []int{3, 1000} { // in memory, and most of it on disk only
		x := newCore(t, "x")
		got := x.subscribe("s", "#", 1)
		a := newNode(t, RoleEdge, "a", nil)
		a.mustPublish("t", 1, numbered("m", 0, waiting)...)
		settled(t, a.st) // the publishers may be told before the queue
		if _, err := a.b.Purge("nobody"); !errors.Is(err, ErrNoLink) {
			t.Errorf("got %v, want that there is no such link", err)
		}
		lost, err := a.b.Purge("uplink")
		if err != nil || lost.Messages != waiting || lost.Bytes == 0 {
			t.Fatalf("got %+v, %v, want %d messages", lost, err, waiting)
		}
		if n := a.reg.Drops()[lane.DropRemoved]; n != uint64(waiting) {
			t.Errorf("got %d counted, want %d", n, waiting)
		}
		if n := a.backlog(""); n != 0 {
			t.Errorf("got a backlog of %d, want 0", n)
		}
		a.mustPublish("t", 1, "later")
		a.restart()
		a.dial(x)
		a.drained("x")
		got.want(t, "later")
	}
}

func TestForget(t *testing.T) {
	x := newCore(t, "x")
	a := newEdge(t, "a", x)
	s := a.subscribe("s", "t", 1)
	x.wantInterest("a", "t", true)
	if _, err := x.b.Forget("a"); !errors.Is(err, ErrLinkUp) {
		t.Errorf("got %v, want a refusal while it is connected", err)
	}
	if _, err := a.b.Forget("uplink"); !errors.Is(err, ErrUplink) {
		t.Errorf("got %v, want that the uplink stays", err)
	}
	a.stop()
	x.wantState("a", "down")
	x.mustPublish("t", 1, "lost", "too")
	lost, err := x.b.Forget("a")
	if err != nil || lost.Messages != 2 || x.reg.Drops()[lane.DropRemoved] != 2 || x.b.lookup("a") != nil {
		t.Errorf("got %+v, %v, %v, want two messages lost and counted, and the edge forgotten", lost, err, x.reg.Drops())
	}
	a.start()
	a.router.Subscribe(s, mqtt.Subscription{Filter: "t", QoS: 1})
	a.dial(x)
	x.wantInterest("a", "t", true)
	x.mustPublish("t", 1, "met anew")
	eventually(t, "the edge gets what comes later", func() bool { return len(s.payloads()) == 1 })
}

// Purging while messages flow loses none that comes later.
func TestPurgeWhileMessagesFlow(t *testing.T) {
	x := newCore(t, "x")
	got := x.subscribe("s", "#", 1)
	a := newEdge(t, "a", x)
	a.wantState("x", "up")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop, waited for below
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				a.mustPublish("t", 1, "m")
			}
		}
	}()
	lost := 0
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		l, err := a.b.Purge("x")
		if err != nil {
			t.Error(err)
		}
		lost += l.Messages
	}
	close(stop)
	<-done
	a.mustPublish("t", 1, "last")
	a.drained("x")
	eventually(t, "the last one arrives", func() bool { p := got.payloads(); return len(p) > 0 && p[len(p)-1] == "last" })
	if n := a.reg.Drops()[lane.DropRemoved]; n != uint64(lost) {
		t.Errorf("got %d counted, want the %d that were told", n, lost)
	}
}
