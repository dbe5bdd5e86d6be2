package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/bell"
)

// lines are the lines from one node to others: they can be cut.
type lines struct {
	mu    sync.Mutex
	dead  map[string]bool // addresses that are out of reach
	conns map[string][]net.Conn
}

// tweak has the node dial over these lines.
func (s *lines) tweak(c *Config) {
	c.DetourAfter = 10 * time.Millisecond
	c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.dead[addr] {
			return nil, errors.New("no line")
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			s.conns[addr] = append(s.conns[addr], conn)
		}
		return conn, err
	}
}

// set cuts the line to n, or mends it.
func (s *lines) set(n *node, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead[n.addr] = !up
	if !up {
		for _, c := range s.conns[n.addr] {
			c.Close()
		}
		s.conns[n.addr] = nil
	}
}

// triangle is three cores, each linked to the others, and an edge each at x and y. x dials y.
type triangle struct {
	x, y, z, a, b *node
	fromX, fromY  *lines
}

func newTriangle(t *testing.T, tweak func(*Config)) *triangle {
	t.Helper()
	newLines := func() *lines { return &lines{dead: map[string]bool{}, conns: map[string][]net.Conn{}} }
	f := &triangle{fromX: newLines(), fromY: newLines()}
	core := func(name string, s *lines) *node {
		return newNode(t, RoleCore, name, func(c *Config) {
			if s.tweak(c); tweak != nil {
				tweak(c)
			}
		})
	}
	f.x, f.y, f.z = core("x", f.fromX), core("y", f.fromY), core("z", newLines())
	f.a, f.b = newEdge(t, "a", f.x), newEdge(t, "b", f.y)
	f.join()
	f.a.wantState("x", "up")
	f.b.wantState("y", "up")
	return f
}

func (f *triangle) join() {
	join(f.x, f.y, f.z)
	f.x.wantState("y", "up")
	f.x.wantState("z", "up")
	f.y.wantState("z", "up")
}

// wantWay waits until x and y are linked in the way that their addresses tell.
func (f *triangle) wantWay(t *testing.T, via bool) {
	t.Helper()
	for _, n := range []*node{f.x, f.y} {
		other := map[*node]string{f.x: "y", f.y: "x"}[n]
		eventually(t, fmt.Sprintf("%s linked to %s through z: %v", n.name, other, via), func() bool {
			s := n.status(other)
			return s.State == "up" && strings.HasPrefix(s.Addr, "via z") == via
		})
	}
}

// Two cores without a line to each other are linked through the third, and again directly as soon as they can be: nothing is lost,
// doubled or out of order meanwhile, from edge to edge. [promise P1] [promise P2] [promise P3]
func TestDeadLineGoesThroughAnotherCore(t *testing.T) {
	t.Parallel()
	f := newTriangle(t, nil)
	subs := map[byte]*testClient{}
	for qos := byte(1); qos <= 2; qos++ {
		subs[qos] = f.b.subscribe(fmt.Sprint("qos", qos), fmt.Sprint("up/", qos), qos)
		f.x.wantInterest("y", fmt.Sprint("up/", qos), true)
	}
	down := f.a.subscribe("down", "down", 2)
	f.y.wantInterest("x", "down", true)
	const rounds, each = 4, 20
	for r := range rounds {
		f.fromX.set(f.y, r%2 == 1)
		for k := range each {
			f.a.mustPublish("up/1", 1, fmt.Sprint(r*each+k))
			f.a.mustPublish("up/2", 2, fmt.Sprint(r*each+k))
			f.b.mustPublish("down", 2, fmt.Sprint(r*each+k))
		}
		f.wantWay(t, r%2 == 0)
	}
	all := numbered("", 0, rounds*each)
	subs[1].want(t, all...)
	subs[2].want(t, all...)
	down.want(t, all...)
	for _, n := range []*node{f.x, f.y, f.z, f.a, f.b} {
		if got := n.reg.Drops(); len(got) > 0 {
			t.Errorf("%s dropped %v, want nothing", n.name, got)
		}
	}
	f.x.drained("y")
	f.y.drained("x")
	if f.z.b.metrics.relayed.Get() == 0 {
		t.Error("z passed nothing on")
	}
}

// All that a link carries goes through the third core: interest, messages of QoS 0, in fragments and retained, and where edges are.
func TestDetourCarriesWhatALinkDoes(t *testing.T) {
	t.Parallel()
	f := newTriangle(t, func(c *Config) { c.MaxFrameBytes = 64 << 10 })
	f.fromX.set(f.y, false)
	f.wantWay(t, true)
	s := f.b.subscribe("s", "t/#", 2)
	f.x.wantInterest("y", "t/#", true)
	long := strings.Repeat("long", 100_000)
	f.a.mustPublish("t/1", 1, "small", long)
	s.want(t, "small", long)
	eventually(t, "a message of QoS 0 came", func() bool {
		f.a.mustPublish("t/0", 0, "zero")
		return len(s.payloads()) > 2
	})
	if err := f.a.publish("retained", "v", 1, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "y holds what is retained", func() bool { return f.y.retained.get("retained") == "v" })
	f.b.dial(f.x)
	f.y.cut()
	f.b.wantState("x", "up")
	eventually(t, "y knows that b is at x", func() bool { s, ok := f.y.b.lookup("x").stayOf("b"); return ok && !s.left })
}

// When the core between goes, another one that is linked to both is taken, or the direct line.
func TestDetourWhenTheCoreBetweenGoes(t *testing.T) {
	t.Parallel()
	f := newTriangle(t, nil)
	s := f.b.subscribe("s", "t", 2)
	f.x.wantInterest("y", "t", true)
	f.fromX.set(f.y, false)
	f.wantWay(t, true)
	f.a.mustPublish("t", 2, numbered("m", 0, 10)...)
	f.z.stop()
	f.a.mustPublish("t", 2, numbered("m", 10, 20)...)
	eventually(t, "x has no link to y", func() bool { return f.x.status("y").State != "up" })
	f.z.start()
	f.join()
	f.wantWay(t, true)
	s.want(t, numbered("m", 0, 20)...)
	f.z.stop()
	f.fromX.set(f.y, true)
	f.a.mustPublish("t", 2, numbered("m", 20, 30)...)
	s.want(t, numbered("m", 0, 30)...)
	f.z.start()
}

// A circuit ends with either link under it, and is taken out at all three cores.
func TestCircuitsEnd(t *testing.T) {
	t.Parallel()
	f := newTriangle(t, nil)
	f.fromX.set(f.y, false)
	f.wantWay(t, true)
	f.fromY.set(f.z, false)
	eventually(t, "x has no link to y", func() bool { return f.x.status("y").State != "up" })
	eventually(t, "no circuit is left", func() bool {
		for _, n := range []*node{f.x, f.y, f.z} {
			n.b.circuits.mu.Lock()
			left := len(n.b.circuits.ends) + len(n.b.circuits.passing)
			n.b.circuits.mu.Unlock()
			if left > 0 {
				return false
			}
		}
		return true
	})
	f.fromY.set(f.z, true)
	f.wantWay(t, true)
}

// A frame that is for no circuit is answered; who is no core, and who asks for one that is more than one core away, is refused.
func TestRelayRefusals(t *testing.T) {
	x := newCore(t, "x")
	join := func(name string, role frame.Role, store uint64) *rawLink {
		r := openRaw(t, x, name)
		r.send(frame.KindHello, frame.Hello{Name: name, Store: store, Role: role, Attach: 1, Window: 10, WindowBytes: 1 << 20, MaxBytes: 1 << 20,
			Features: frame.FeatureRelay}.Append(nil))
		eventually(t, name+" is answered", func() bool { return r.frames(frame.KindHello) > 0 })
		return r
	}
	c, e := join("core-9", frame.RoleCore, 98), join("edge-9", frame.RoleEdge, 99)
	open := func(to, from string) []byte {
		return frame.Relay{Op: frame.RelayOpen, Circuit: 5, To: to, From: from}.Append(nil)
	}
	for _, row := range []struct {
		why  string
		body []byte
		want error
	}{
		{"a frame of a circuit that is not there", frame.Relay{Op: frame.RelayCarry, Circuit: 5, Kind: "ack"}.Append(nil), errRelayGone},
		{"a core that is not linked", open("nobody", "core-9"), errNoRelay},
		{"an edge", open("edge-9", "core-9"), errNoRelay},
		{"the one who asks", open("core-9", "core-9"), errNoRelay},
		{"for another one", open("nobody", "core-8"), errors.New("more than one core between")},
	} {
		before := c.frames(frame.KindRelay)
		c.send(frame.KindRelay, row.body)
		eventually(t, row.why+" is answered", func() bool { return c.frames(frame.KindRelay) > before })
		f, err := frame.DecodeRelay(c.last(frame.KindRelay))
		if err != nil || f.Op != frame.RelayClose || f.Circuit != 5 || !strings.Contains(f.Text, row.want.Error()) {
			t.Errorf("%s: got %+v, %v, want it closed: %v", row.why, f, err, row.want)
		}
	}
	e.send(frame.KindRelay, open("core-9", "edge-9"))
	eventually(t, "the edge is answered", func() bool { return e.frames(frame.KindGoaway) > 0 })
	f, err := frame.DecodeGoaway(e.last(frame.KindGoaway))
	if err != nil || f.Code != frame.GoawayProtocol {
		t.Errorf("an edge: got %+v, %v, want goodbye", f, err)
	}
}

// What waits for a line is bounded, but for what closes circuits.
func TestOutboxIsBounded(t *testing.T) {
	l := &link{wake: bell.New()}
	big := passage{body: make([]byte, maxOutbox/4)}
	n := 0
	for ; l.relay(big); n++ {
	}
	if n != 4 || !l.relay(closing(7, errRelayFull)) || l.out.bytes > maxOutbox+1024 {
		t.Errorf("got %d frames of a quarter and %d bytes, want 4 of them and the end of a circuit", n, l.out.bytes)
	}
}
