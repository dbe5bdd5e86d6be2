package bridge

import (
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
)

// lostFleet is three cores, each linked to the others, and an edge at y that wants t; y loses its disk.
type lostFleet struct {
	movedFleet
	z     *node
	cores []*node
}

func startLost(t *testing.T, settle time.Duration) *lostFleet {
	t.Helper()
	f := new(lostFleet)
	for _, name := range []string{"x", "y", "z"} {
		f.cores = append(f.cores, newNode(t, RoleCore, name, func(c *Config) { c.SettleTime = settle }))
	}
	join(f.cores...)
	f.x, f.y, f.z = f.cores[0], f.cores[1], f.cores[2]
	f.b = newEdge(t, "b", f.y)
	f.sub = f.b.subscribe("s", "t", 1)
	for _, c := range []*node{f.x, f.z} {
		c.wantInterest("y", "t", true)
		eventually(t, c.name+" knows that b is at y", func() bool { _, ok := c.b.lookup("y").stayOf("b"); return ok })
	}
	return f
}

// wipeY takes y's disk; the others know it again.
func (f *lostFleet) wipeY(t *testing.T) {
	t.Helper()
	f.y.wipe()
	join(f.cores...)
	f.x.wantState("y", "up")
	f.z.wantState("y", "up")
	f.x.wantInterest("y", "t", false)
}

// What a core holds for another one that comes back empty goes to the edges that were there, wherever they are now.
func TestEmptyCoreIsNotGivenWhatIsForItsEdges(t *testing.T) {
	cases := []struct {
		why  string
		move func(*lostFleet)
		late bool // the edge turns up after the core is back
	}{
		{"the edge moved before the core came back", func(f *lostFleet) { f.b.dial(f.z); f.b.wantState("z", "up") }, false},
		{"the edge moved to the core that holds its messages", func(f *lostFleet) { f.b.dial(f.x); f.b.wantState("x", "up") }, false},
		{"the edge was attached nowhere, then at a third core", func(f *lostFleet) { f.b.dial(f.z); f.b.wantState("z", "up") }, true},
		{"the edge was attached nowhere, then at the empty core", func(f *lostFleet) { f.b.dial(f.y); f.b.wantState("y", "up") }, true},
		{"the same, and the core that holds was restarted", func(f *lostFleet) {
			f.x.restart()
			join(f.cores...)
			f.b.dial(f.y)
			f.b.wantState("y", "up")
		}, true},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			f := startLost(t, 50*time.Millisecond)
			f.x.mustPublish("t", 1, numbered("m", 0, 5)...)
			f.sub.want(t, numbered("m", 0, 5)...)
			f.b.b.SetCores(nil, false)
			f.y.stop()
			f.x.mustPublish("t", 1, numbered("m", 5, 10)...)
			if !c.late {
				c.move(f)
				f.x.mustPublish("t", 1, numbered("m", 10, 15)...)
			}
			f.wipeY(t)
			if c.late {
				f.x.mustPublish("t", 1, numbered("m", 10, 15)...)
				c.move(f)
			}
			f.wantEach(t, numbered("m", 0, 15))
			for _, n := range []*node{f.x, f.z} {
				eventually(t, n.name+" has forgotten y's past", func() bool { return len(n.b.pastsOf("y")) == 0 })
				if got := n.reg.Drops(); len(got) > 0 {
					t.Errorf("%s dropped %v, want nothing", n.name, got)
				}
			}
			f.x.mustPublish("t", 1, "later")
			f.wantEach(t, append(numbered("m", 0, 15), "later"))
		})
	}
}

// A core from a backup, with its sessions but under another store id, gets what was queued for it; what nobody wants is counted.
func TestRestoredCoreGetsWhatItWants(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.SettleTime = 50 * time.Millisecond })
	y := newCore(t, "y")
	join(x, y)
	y.subscribe("s", "t", 1)
	y.subscribe("gone", "u", 1)
	x.wantInterest("y", "u", true)
	y.stop()
	x.mustPublish("t", 1, numbered("m", 0, 10)...)
	x.mustPublish("u", 1, "for nobody")
	y.wipe()
	s := y.subscribe("s", "t", 1)
	join(x, y)
	s.want(t, numbered("m", 0, 10)...)
	eventually(t, "x has forgotten y's past", func() bool { return len(x.b.pastsOf("y")) == 0 })
	s.want(t, numbered("m", 0, 10)...)
	if got := x.reg.Drops(); len(got) != 1 || got[dropNoTaker] != 1 {
		t.Errorf("got drops %v, want one without a taker", got)
	}
}

// While an edge of the lost core has not turned up, messages that it wanted are kept.
func TestPastWaitsForItsEdges(t *testing.T) {
	f := startLost(t, 10*time.Millisecond)
	f.b.b.SetCores(nil, false)
	f.wipeY(t)
	<-time.After(200 * time.Millisecond)
	f.x.mustPublish("t", 1, "m")
	f.b.dial(f.z)
	f.sub.want(t, "m")
}

// The only core comes back empty: an edge that holds messages for another one comes first.
func TestEmptyCoreWaitsForEdges(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.SettleTime = 700 * time.Millisecond })
	a, b := newEdge(t, "a", x), newEdge(t, "b", x)
	s := b.subscribe("s", "t", 1)
	x.wantInterest("b", "t", true)
	a.wantState("x", "up")
	if x.b.isSettling() {
		t.Error("edges wait at a core that is new to them, want none of that")
	}
	b.b.SetCores(nil, false)
	x.stop()
	a.mustPublish("t", 1, numbered("m", 0, 20)...)
	x.wipe()
	a.wantState("x", "up")
	b.dial(x)
	s.want(t, numbered("m", 0, 20)...)
	if got := x.reg.Drops(); len(got) > 0 {
		t.Errorf("got drops %v, want none", got)
	}
	a.mustPublish("t", 1, "later")
	s.want(t, append(numbered("m", 0, 20), "later")...)
}

// A core that comes back without its memory again, before it has taken what it was given, does not get the same from each of its pasts.
func TestPastsGiveAMessageOnce(t *testing.T) {
	f := startLost(t, time.Hour)
	f.y.stop()
	f.x.wantState("y", "down")
	f.x.mustPublish("t", 1, "1", "2", "3")
	n := f.x.b.lookup("y")
	for store := range uint64(2) {
		h := frame.Hello{Name: "y", Store: store + 1, Role: frame.RoleCore}
		heir := f.x.b.succeed(n, h)
		if heir == n {
			t.Fatal("the core is taken for the one that was there")
		}
		heir.update(new(batch.Batch), func(r *record) { r.store = h.Store })
		f.x.b.claimPasts("y")
		eventually(t, "all pasts are served", func() bool {
			for _, past := range f.x.b.pastsOf("y") {
				p := past.past.Load()
				p.mu.Lock()
				idle := !p.busy && len(p.claims) == 0
				p.mu.Unlock()
				if !idle {
					return false
				}
			}
			return true
		})
		if got, _ := heir.queue.Backlog(); got != 3 {
			t.Fatalf("back for the time %d: got %d messages, want 3", store+1, got)
		}
		n = heir
	}
}
