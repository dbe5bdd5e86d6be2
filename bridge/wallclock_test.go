package bridge

import (
	"testing"
	"time"

	"mangrove/internal/sim"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// Whatever the wall clock of a core is set to, while it runs or over its restart: it keeps an edge that is away, with what that is
// owed, and what it hands on for an edge that has moved.
func TestWallClockForgetsNobody(t *testing.T) {
	const days = 10 * 24 * time.Hour
	for _, c := range []struct {
		why                    string
		atStop, atStart, later time.Duration // how far the wall clock is ahead
	}{
		{"ten days ahead for a while", 0, 0, days},
		{"ten days behind for a while", 0, 0, -days},
		{"started with a clock that is ten days ahead", 0, days, 0},
		{"stopped with a clock that is ten days ahead", days, 0, 0},
		{"stopped and started ten days behind, then set", -days, -days, 0},
		{"a clock that nobody sets for a while", 0, -40 * 365 * 24 * time.Hour, 0},
	} {
		t.Run(c.why, func(t *testing.T) {
			wall := new(sim.Wall)
			x := newCore(t, "x")
			x.storage = func(c *store.Config) { c.Now = wall.Now }
			x.tweak = func(c *Config) { c.Now = wall.Now }
			x.restart()
			wall.Set(c.atStop)
			b := newEdge(t, "b", x)
			sub := b.subscribe("s", "t", 1)
			x.wantInterest("b", "t", true)
			b.stop()
			x.wantState("b", "down")
			x.mustPublish("t", 1, numbered("m", 0, 5)...)
			x.stop()
			wall.Set(c.atStart)
			x.start()
			wall.Set(c.later)
			for _, n := range x.b.all() {
				n.age(wall.Now())
			}
			if x.b.lookup("b") == nil || x.backlog("b") != 5 {
				t.Fatalf("got %+v and %d messages, want the edge and five", x.status("b"), x.backlog("b"))
			}
			x.mustPublish("t", 1, numbered("m", 5, 10)...)
			b.start()
			b.router.Subscribe(sub, mqtt.Subscription{Filter: "t", QoS: 1})
			b.dial(x)
			sub.want(t, numbered("m", 0, 10)...)
		})
	}
}

// The time that has passed counts, whatever the wall clock says.
func TestTimeThatHasPassedForgets(t *testing.T) {
	wall := new(sim.Wall)
	x := newCore(t, "x")
	x.storage = func(c *store.Config) { c.Now = wall.Now }
	x.tweak = func(c *Config) { c.Now = wall.Now }
	x.restart()
	b := newEdge(t, "b", x)
	b.subscribe("s", "t", 1)
	x.wantInterest("b", "t", true)
	b.stop()
	x.wantState("b", "down")
	x.restart()
	wall.Set(-240 * time.Hour)
	n := x.b.lookup("b")
	if n.age(wall.Now().Add(DefaultNeighbourExpiry - time.Minute)); x.b.lookup("b") == nil {
		t.Error("forgotten a minute too early")
	}
	if n.age(wall.Now().Add(DefaultNeighbourExpiry + time.Minute)); x.b.lookup("b") != nil {
		t.Error("not forgotten after its time")
	}
}

// What is told of how long a link has been in its state is time that has passed too.
func TestStatusSinceIsOfTheClockAsItIs(t *testing.T) {
	wall := new(sim.Wall)
	wall.Set(-50 * 365 * 24 * time.Hour)
	x := newNode(t, RoleCore, "x", func(c *Config) { c.Now = wall.Now })
	newEdge(t, "b", x)
	x.wantState("b", "up")
	wall.Set(0)
	if ago := time.Since(x.status("b").Since.Round(0)); ago < -time.Minute || ago > time.Minute {
		t.Errorf("got up since %v ago, want a moment", ago)
	}
}
