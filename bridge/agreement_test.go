package bridge

import (
	"os"
	"testing"
	"time"

	"mangrove/mqtt"
)

// wipe takes a node's disk away; it comes back under its name.
func (n *node) wipe() {
	n.t.Helper()
	n.stop()
	if err := os.RemoveAll(n.dir); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Mkdir(n.dir, 0o700); err != nil {
		n.t.Fatal(err)
	}
	n.start()
}

// The core that dials says which interest it holds before it knows that the other's store is new, whose interest is the same.
func TestCorePutBackHearsItsPeers(t *testing.T) {
	for _, name := range []string{"x", "y"} { // x dials
		cores := newCores(t, "x", "y")
		back, stays := cores[0], cores[1]
		if name == "y" {
			back, stays = stays, back
		}
		back.subscribe("s", "t", 1)
		stays.wantInterest(back.name, "t", true)
		back.wipe()
		s := back.subscribe("s", "t", 1) // before it has a link, as a session that was restored
		join(cores...)
		back.wantState(stays.name, "up")
		stays.mustPublish("t", 1, "m")
		s.want(t, "m")
	}
}

// Interest that differs at the two ends, for whatever reason, is put right while the link is up.
func TestInterestThatDiffersHeals(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.CheckInterest = 10 * time.Millisecond })
	y := newNode(t, RoleCore, "y", func(c *Config) { c.CheckInterest = 10 * time.Millisecond })
	join(x, y)
	b := newNode(t, RoleEdge, "b", func(c *Config) { c.CheckInterest = 10 * time.Millisecond })
	b.dial(x)
	y.subscribe("s", "t", 1)
	b.subscribe("s", "u", 1)
	for name, filter := range map[string]string{"y": "t", "b": "u"} {
		x.wantInterest(name, filter, true)
		n := x.b.lookup(name)
		n.wantsMu.Lock()
		n.wants.Remove(filter)
		x.router.Unsubscribe(n, filter)
		n.wantsMu.Unlock()
		x.wantInterest(name, filter, true)
		eventually(t, "the router has it too", func() bool {
			x.router.mu.Lock()
			defer x.router.mu.Unlock()
			_, ok := x.router.subs[filter][mqtt.Subscriber(n)]
			return ok
		})
	}
	if got := x.reg.Counter("mangrove_link_interest_disagreed_total").Get(); got < 2 {
		t.Errorf("got %d disagreements counted, want 2", got)
	}
}

// What comes over a link for nobody is counted, at any QoS; what is retained is for whoever comes.
func TestNoTakerIsCounted(t *testing.T) {
	x := newCore(t, "x")
	b := newEdge(t, "b", x)
	b.wantState("x", "up")
	s := x.subscribe("s", "taken", 1)
	b.mustPublish("nobody", 1, "m")
	b.mustPublish("nobody", 0, "m")
	b.mustPublish("taken", 1, "m")
	if err := b.publish("retained", "m", 1, true); err != nil {
		t.Fatal(err)
	}
	s.want(t, "m")
	eventually(t, "two without a taker are counted", func() bool { return x.reg.Drops()[dropNoTaker] == 2 })
	b.drained("x")
	if got := x.reg.Drops()[dropNoTaker]; got != 2 {
		t.Errorf("got %d without a taker, want 2", got)
	}
}
