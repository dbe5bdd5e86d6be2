package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/lane"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// moved is two cores and an edge that may reach either.
type movedFleet struct {
	x, y, b *node
	sub     *testClient
}

// startMoved attaches edge b, which wants t, to x.
func startMoved(t *testing.T) *movedFleet {
	t.Helper()
	cores := newCores(t, "x", "y")
	f := &movedFleet{x: cores[0], y: cores[1]}
	f.b = newEdge(t, "b", f.x)
	f.sub = f.b.subscribe("s", "t", 1)
	f.x.wantInterest("b", "t", true)
	f.y.wantInterest("x", "t", true)
	return f
}

// moveToY makes b dial y from now on.
func (f *movedFleet) moveToY(t *testing.T) {
	t.Helper()
	f.b.dial(f.y)
	eventually(t, "b is at y", func() bool {
		if l := f.b.b.uplink.n.link.Load(); l != nil && f.b.status("y").State != "up" {
			l.fail(errReplaced, nil) // it may have come back to x just before
		}
		return f.b.status("y").State == "up"
	})
	f.y.wantInterest("b", "t", true)
}

// What x holds for b when b moves goes on to y, and nothing comes twice.
func TestMovedEdgeGetsItsQueue(t *testing.T) {
	f := startMoved(t)
	f.x.mustPublish("t", 1, numbered("m", 0, 10)...)
	f.sub.want(t, numbered("m", 0, 10)...)
	f.x.setDeaf(true)
	f.x.wantState("b", "down")
	f.x.mustPublish("t", 1, numbered("m", 10, 30)...)
	f.y.mustPublish("t", 1, "y") // waits at y for the link to x
	f.b.dial(f.y)
	f.b.wantState("y", "up")
	f.x.setDeaf(false)
	join(f.x, f.y)
	f.x.wantState("b", "moved")
	f.wantEach(t, append(numbered("m", 0, 30), "y"))
	f.x.drained("b")
	f.x.drained("y")
	f.y.wantInterest("x", "t", false)
	f.x.mustPublish("t", 1, "later")
	f.wantEach(t, append(numbered("m", 0, 30), "y", "later"))
	if got := f.x.backlog("b"); got != 0 {
		t.Errorf("x queued %d messages for an edge that moved, want 0", got)
	}
}

// wantEach waits for each payload once, in any order: what a core held comes when that core is back.
func (f *movedFleet) wantEach(t *testing.T, want []string) {
	t.Helper()
	eventually(t, "all have arrived", func() bool { return len(f.sub.payloads()) >= len(want) })
	counts := map[string]int{}
	for _, p := range f.sub.payloads() {
		counts[p]++
	}
	for _, p := range want {
		if counts[p] != 1 {
			t.Errorf("%s arrived %d times, want once", p, counts[p])
		}
	}
	if len(counts) != len(want) {
		t.Errorf("got %d different messages, want %d", len(counts), len(want))
	}
}

// The core that held the queue was dead while the edge moved.
func TestReturningCoreHandsOver(t *testing.T) {
	f := startMoved(t)
	f.x.setDeaf(true)
	f.x.wantState("b", "down")
	f.x.mustPublish("t", 1, numbered("m", 0, 50)...)
	f.x.stop()
	f.moveToY(t)
	f.y.mustPublish("t", 1, "while x is dead")
	f.sub.want(t, "while x is dead")
	f.x.start()
	f.x.setDeaf(false)
	join(f.x, f.y)
	f.wantEach(t, append(numbered("m", 0, 50), "while x is dead"))
	f.x.drained("b")
	f.x.drained("y")
	f.y.drained("b")
}

// Back and forth, publishing at both cores all the time: nothing is lost, nothing comes twice.
func TestEdgeMovesToAndFro(t *testing.T) {
	f := startMoved(t)
	var want []string
	for i := range 6 {
		at, to := f.x, f.y
		if i%2 == 1 {
			at, to = f.y, f.x
		}
		some := numbered("m", 20*i, 20*i+20)
		want = append(want, some...)
		at.mustPublish("t", 1, some[:5]...)
		to.mustPublish("t", 1, some[5:10]...)
		f.b.dial(to)
		f.b.b.uplink.n.link.Load().fail(errReplaced, nil)
		at.mustPublish("t", 1, some[10:15]...)
		to.mustPublish("t", 1, some[15:]...)
		f.b.wantState(to.name, "up")
		at.wantState("b", "moved")
	}
	f.wantEach(t, want)
	for _, c := range []*node{f.x, f.y} {
		c.drained("b")
	}
	f.wantEach(t, want)
}

// A third core that does not know yet where the edge is goes on sending to the old place.
func TestLeftoversForMovedEdge(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.InterestLinger = time.Hour })
	y, z := newCore(t, "y"), newCore(t, "z")
	join(x, y)
	join(x, z)
	x.b.SetPeers([]Peer{{Name: "y", Addr: y.addr}, {Name: "z", Addr: z.addr}}) // y and z do not know each other
	b := newEdge(t, "b", x)
	f := &movedFleet{x: x, y: y, b: b, sub: b.subscribe("s", "t", 1)}
	z.wantInterest("x", "t", true)
	f.moveToY(t)
	x.wantState("b", "moved")
	z.mustPublish("t", 1, numbered("m", 0, 10)...)
	f.sub.want(t, numbered("m", 0, 10)...)
	x.drained("b")
}

// An edge that comes back to the same core makes no talk among the cores.
func TestReconnectingEdgeIsNotAnnouncedAgain(t *testing.T) {
	f := startMoved(t)
	f.x.drained("y")
	before := f.x.status("y").Sent
	for i := range 5 {
		old := f.x.b.lookup("b").link.Load()
		old.fail(errReplaced, nil)
		eventually(t, "b is back", func() bool {
			l := f.x.b.lookup("b").link.Load()
			return l != nil && l != old && f.b.status("x").State == "up"
		})
		f.x.mustPublish("t", 1, fmt.Sprint(i))
		f.sub.want(t, numbered("", 0, i+1)...)
	}
	if got := f.x.status("y").Sent; got != before {
		t.Errorf("x told y %d times of an edge that did not move, want 0", got-before)
	}
}

func TestMovedEdgeIsForgotten(t *testing.T) {
	f := startMoved(t)
	f.x.tweak = func(c *Config) { c.MovedLinger = 20 * time.Millisecond }
	f.x.restart()
	join(f.x, f.y)
	f.moveToY(t)
	eventually(t, "x has forgotten b", func() bool { return f.x.b.lookup("b") == nil })
	f.x.mustPublish("t", 1, "m")
	f.sub.want(t, "m")
	f.b.dial(f.x)
	f.b.b.uplink.n.link.Load().fail(errReplaced, nil)
	f.b.wantState("x", "up")
	f.x.wantInterest("b", "t", true)
	f.x.mustPublish("t", 1, "n")
	f.sub.want(t, "m", "n")
}

func TestNeighbourExpires(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.NeighbourExpiry = 500 * time.Millisecond })
	b := newEdge(t, "b", x)
	b.subscribe("s", "t", 1)
	x.wantInterest("b", "t", true)
	b.stop()
	x.wantState("b", "down")
	x.mustPublish("t", 1, "m")
	eventually(t, "x has forgotten b", func() bool { return x.b.lookup("b") == nil })
	if got := x.reg.Drops()[lane.DropNeighbourGone]; got != 1 {
		t.Errorf("got %d drops, want 1", got)
	}
	x.restart()
	if n := x.b.lookup("b"); n != nil {
		t.Errorf("got %+v after a restart, want nobody", n.status())
	}
}

// Messages for an edge wait while it is away, over a restart of the core, and its interest is not told again.
func TestEdgeAwayGetsItsMessages(t *testing.T) {
	x := newCore(t, "x")
	b := newEdge(t, "b", x)
	sub := b.subscribe("s", "t", 1)
	x.wantInterest("b", "t", true)
	b.stop()
	x.wantState("b", "down")
	x.mustPublish("t", 1, numbered("m", 0, 10)...)
	x.restart()
	x.mustPublish("t", 1, numbered("m", 10, 20)...)
	b.start()
	b.router.Subscribe(sub, mqtt.Subscription{Filter: "t", QoS: 1})
	b.dial(x)
	sub.want(t, numbered("m", 0, 20)...)
	x.drained("b")
}

func TestNameInUse(t *testing.T) {
	x := newCore(t, "x")
	b := newEdge(t, "b", x)
	b.wantState("x", "up")
	other := newEdge(t, "b", x)
	eventually(t, "the newer one is refused", func() bool { return other.b.Status()[0].LastError != "" && other.b.Status()[0].State != "up" })
	if got := x.status("b").State; got != "up" {
		t.Errorf("the older one is %s, want up", got)
	}
	b.stop()
	other.wantState("x", "up")
}

// A fresh node takes over the queue of its name, not the interest.
func TestFreshNodeOfTheSameName(t *testing.T) {
	x := newCore(t, "x")
	b := newEdge(t, "b", x)
	b.subscribe("s", "t", 1)
	x.wantInterest("b", "t", true)
	b.stop()
	x.wantState("b", "down")
	x.mustPublish("t", 1, "waiting")
	fresh := newNode(t, RoleEdge, "b", nil)
	sub := fresh.subscribe("s", "#", 1)
	fresh.dial(x)
	x.wantInterest("b", "#", true)
	x.wantInterest("b", "t", false)
	sub.want(t, "waiting")
}

func TestNodeLinkedToItself(t *testing.T) {
	x := newCore(t, "x")
	x.b.SetPeers([]Peer{{Name: "z", Addr: x.addr}})
	eventually(t, "it is noticed", func() bool { return x.status("z").LastError != "" })
	if got := x.status("z").State; got == "up" {
		t.Errorf("got %s, want not up", got)
	}
}

// damage changes one byte of a payload where it lies in the log of a node: a worn SD card.
func damage(t *testing.T, n *node, payload string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(n.dir, "log", "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, []byte(payload))
		if at < 0 {
			continue
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte{payload[0] ^ 1}, int64(at))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		found = true
	}
	if !found {
		t.Fatalf("%s is in none of %v", payload, files)
	}
}

// One body that cannot be read is dropped and counted; the others are handed over, and the lane to the other core goes on.
func TestMoveWithADamagedBody(t *testing.T) {
	f := startMoved(t)
	f.x.setDeaf(true)
	f.x.wantState("b", "down")
	f.x.mustPublish("t", 1, "first", "second that is damaged", "third")
	damage(t, f.x, "second that is damaged")
	f.b.dial(f.y)
	f.b.wantState("y", "up")
	f.x.setDeaf(false)
	join(f.x, f.y)
	f.x.wantState("b", "moved")
	f.wantEach(t, []string{"first", "third"})
	if got := f.x.reg.Drops()[lane.DropDamaged]; got != 1 {
		t.Errorf("got %d messages counted as damaged, want 1", got)
	}
	f.x.drained("b")
	f.x.drained("y")
	other := f.y.subscribe("other", "u", 1)
	f.x.wantInterest("y", "u", true)
	f.x.mustPublish("u", 1, "goes on")
	other.want(t, "goes on")
}

// The same where the message is for whom it was queued: the link stays up.
func TestLinkWithADamagedBody(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "t", 1)
	a := newEdge(t, "a")
	a.mustPublish("t", 1, "first", "second that is damaged", "third")
	damage(t, a, "second that is damaged")
	a.dial(x)
	sub.want(t, "first", "third")
	a.drained("x")
	if got := a.reg.Drops()[lane.DropDamaged]; got != 1 {
		t.Errorf("got %d messages counted as damaged, want 1", got)
	}
}

// A neighbour above its bound of filters is refused, and nothing of it stays half done: what was queued for it leaves
// when it comes again, and the filters on disk are those that the Router has.
func TestTooManyFilters(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.MaxInterest = 4 })
	for i := range 6 {
		if err := x.publish(fmt.Sprint("r/", i), "retained", 1, true); err != nil {
			t.Fatal(err)
		}
	}
	r := openRaw(t, x, "e")
	hello := frame.Hello{Name: "e", Store: 99, Role: frame.RoleEdge, Attach: 1, Window: 10, WindowBytes: 1 << 20, MaxBytes: 1 << 20}
	r.send(frame.KindHello, hello.Append(nil))
	x.wantState("e", "up")
	change := frame.Interest{}
	for i := range 6 {
		change.Entries = append(change.Entries, frame.Want{Filter: fmt.Sprint("r/", i), QoS: 1})
	}
	r.send(frame.KindInterest, change.Append(nil))
	eventually(t, "goodbye and the end", func() bool { return r.frames(frame.KindGoaway) == 1 && r.isGone() })

	n := x.b.lookup("e")
	eventually(t, "nothing is on its way to the disk", func() bool {
		found, _ := n.queue.Next(nil, nil, lane.Credit{Messages: 100, Bytes: 1 << 20}, 1<<20, time.Now())
		queued, _ := n.queue.Backlog()
		return queued == len(found)
	})
	rows := map[string]bool{}
	if err := x.st.Scan(batch.Interest, interestKey(n.rec.num, ""), interestKey(n.rec.num+1, ""), func(k, _ []byte) bool {
		rows[string(k[8:])] = true
		return true
	}); err != nil {
		t.Fatal(err)
	}
	x.router.mu.Lock()
	defer x.router.mu.Unlock()
	for i := range 6 {
		filter := fmt.Sprint("r/", i)
		if _, has := x.router.subs[filter][n]; has != rows[filter] {
			t.Errorf("%s: on disk %t, in the Router %t", filter, rows[filter], has)
		}
	}
	if len(rows) != 5 {
		t.Errorf("got %d filters on disk, want 5: up to the one that was too many", len(rows))
	}
}
