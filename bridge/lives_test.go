package bridge

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"mangrove/mqtt"
)

// image copies the folder of a node that is stopped.
func (n *node) image() string {
	n.t.Helper()
	dir := n.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(n.dir)); err != nil {
		n.t.Fatal(err)
	}
	return dir
}

// putBack stops n, gives it a copy of an image, and starts it again.
func (n *node) putBack(image string) {
	n.t.Helper()
	n.stop()
	n.dir = n.t.TempDir()
	if err := os.CopyFS(n.dir, os.DirFS(image)); err != nil {
		n.t.Fatal(err)
	}
	n.start()
}

// sorted are the payloads that c got, in order of their bytes.
func (c *testClient) sorted() []string {
	got := c.payloads()
	slices.Sort(got)
	return got
}

// wantOnce waits for each payload once, in any order.
func (c *testClient) wantOnce(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s has %d messages", c.id, len(want)), func() bool { return len(c.payloads()) >= len(want) })
	want = slices.Clone(want)
	slices.Sort(want)
	if got := c.sorted(); !slices.Equal(got, want) {
		t.Fatalf("%s: got %d messages %.300v, want %d %.300v", c.id, len(got), got, len(want), want)
	}
}

func TestLineage(t *testing.T) {
	first, second, third, copied := []uint64{1}, []uint64{2, 1}, []uint64{3, 2, 1}, []uint64{4, 1}
	for _, e := range []struct {
		was, is []uint64
		want    lineage
	}{
		{nil, first, lineageUnknown}, {first, nil, lineageUnknown}, {second, second, lineageSame}, {first, third, lineageLater},
		{third, second, lineageEarlier}, {third, copied, lineageApart}, {copied, third, lineageApart},
	} {
		if got := lineageOf(e.was, e.is); got != e.want {
			t.Errorf("from %v to %v: got %d, want %d", e.was, e.is, got, e.want)
		}
	}
}

func TestKin(t *testing.T) {
	k := newKin(5, []uint64{7, 64, 9})
	for life := range uint64(200) {
		if want := life == 5 || life == 7 || life == 64 || life == 9; k.has(life) != want {
			t.Errorf("life %d: got %v, want %v", life, !want, want)
		}
	}
}

// P1, P2: two gateways run on copies of one SD card, under names of their own. What both truly hold, one message that waited
// when the card was copied, comes once; what each of them takes on comes from both.
func TestCopiesOfOneFolder(t *testing.T) {
	for _, at := range []string{"the same core", "two cores"} {
		t.Run(at, func(t *testing.T) {
			cores := newCores(t, "x", "y")
			x, y := cores[0], cores[1]
			sub := x.subscribe("s", "#", 1)
			y.wantInterest("x", "#", true)
			golden := newNode(t, RoleEdge, "golden", nil)
			golden.mustPublish("t", 1, "held")
			golden.stop()
			image, to := golden.image(), []*node{x, x}
			if at == "two cores" {
				to[1] = y
			}
			want := []string{"held"}
			for i, name := range []string{"site-1", "site-2"} {
				site := newNode(t, RoleEdge, name, nil)
				site.putBack(image)
				site.dial(to[i])
				site.mustPublish("t", 1, numbered(name, 0, 50)...)
				want = append(want, numbered(name, 0, 50)...)
				site.drained("x")
			}
			sub.wantOnce(t, want...)
		})
	}
}

// P1: an older image of an edge is put back, at the core where it was or at another one. Its numbers are given again; the
// messages are others. What the core that it left holds for it follows it, although it counts its attachments from the image's.
func TestOlderImageOfAnEdge(t *testing.T) {
	for _, back := range []string{"x", "y"} {
		t.Run("back at "+back, func(t *testing.T) {
			f := startMoved(t)
			at := map[string]*node{"x": f.x, "y": f.y}[back]
			sub := f.x.subscribe("all", "up", 1)
			f.y.wantInterest("x", "up", true)
			f.b.mustPublish("up", 1, "one")
			f.b.drained("x")
			f.b.stop()
			image := f.b.image()
			for range 3 {
				f.b.restart(f.sub)
				f.b.dial(f.x)
				f.b.wantState("x", "up")
			}
			f.b.mustPublish("up", 1, numbered("lost life ", 0, 20)...)
			f.b.drained("x")
			f.b.stop()
			f.x.wantState("b", "down")
			f.x.mustPublish("t", 1, "held at x")
			f.b.putBack(image)
			f.b.router.Subscribe(f.sub, mqtt.Subscription{Filter: "#", QoS: 1})
			f.b.dial(at)
			f.b.wantState(back, "up")
			f.b.mustPublish("up", 1, numbered("again ", 0, 20)...)
			sub.wantOnce(t, slices.Concat([]string{"one"}, numbered("lost life ", 0, 20), numbered("again ", 0, 20))...)
			eventually(t, "what x held has come", func() bool { return slices.Contains(f.sub.payloads(), "held at x") })
			if back == "y" {
				f.x.wantState("b", "moved")
			}
		})
	}
}

// Nothing loops: an edge gets a message back that it published some lives ago, through another core. Of the latest lives that
// core knows; the others the edge knows itself.
func TestOwnMessageComesBack(t *testing.T) {
	for _, restarts := range []int{1, 20} {
		t.Run(fmt.Sprint(restarts, " restarts"), func(t *testing.T) {
			x, y := newCore(t, "x"), newCore(t, "y")
			sub := y.subscribe("s", "t", 1)
			join(x, y)
			x.wantInterest("y", "t", true)
			y.setDeaf(true)
			x.wantState("y", "down")
			b := newEdge(t, "b", x)
			b.mustPublish("t", 1, "m")
			b.drained("x")
			own := &testClient{id: "own"}
			for range restarts {
				b.restart(own)
			}
			y.setDeaf(false)
			y.b.SetPeers(nil) // x dials later
			b.dial(y)
			y.wantInterest("b", "#", true)
			join(x, y)
			sub.want(t, "m")
			y.mustPublish("t", 1, "after it")
			own.want(t, "after it")
		})
	}
}

// P1, P2: a core runs on a copy of another one's folder, under a name of its own, beside it. Both serve, and an edge that goes from one to
// the other is let go of.
func TestCopyOfACore(t *testing.T) {
	x, y := newCore(t, "x"), newCore(t, "y")
	b := newEdge(t, "b", x)
	own := b.subscribe("own", "down", 1)
	x.wantInterest("b", "down", true)
	b.stop()
	x.wantState("b", "down")
	x.mustPublish("down", 1, "held")
	x.stop()
	z := newNode(t, RoleCore, "z", nil)
	z.putBack(x.image())
	x.restart()
	join(x, y, z)
	for _, name := range []string{"x", "z"} {
		y.wantState(name, "up")
	}
	sub := y.subscribe("s", "t", 1)
	x.wantInterest("y", "t", true)
	z.wantInterest("y", "t", true)
	x.mustPublish("t", 1, numbered("x", 0, 20)...)
	z.mustPublish("t", 1, numbered("z", 0, 20)...)
	sub.wantOnce(t, append(numbered("x", 0, 20), numbered("z", 0, 20)...)...)
	b.restart(own)
	b.dial(z)
	own.want(t, "held") // both hold it: it comes once
	x.wantState("b", "moved")
	x.mustPublish("down", 1, "later")
	own.want(t, "held", "later")
}
