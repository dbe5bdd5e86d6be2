package bridge

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mangrove/mqtt"
)

// muteNet dials TCP until mute is called: then what is written vanishes, and connections stay open although they are
// closed here, as after a power cut.
type muteNet struct {
	t     testing.TB
	muted atomic.Bool
}

type muteConn struct {
	net.Conn
	of *muteNet
}

func (m *muteNet) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	m.t.Cleanup(func() { conn.Close() })
	return &muteConn{conn, m}, nil
}

func (c *muteConn) Write(b []byte) (int, error) {
	if c.of.muted.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *muteConn) Close() error {
	if c.of.muted.Load() {
		return c.Conn.SetDeadline(time.Unix(1, 0)) // its reader ends
	}
	return c.Conn.Close()
}

// powerCut stops an edge so that its core does not notice.
func (n *node) powerCut(m *muteNet) {
	m.muted.Store(true)
	n.stop()
	m.muted.Store(false)
}

// newMuteEdge is newEdge with a network that can be muted. The returned network is that of the connection that is up; a later
// start of the node has another one.
func newMuteEdge(t *testing.T, name string, cores ...*node) (*node, *muteNet) {
	m := &muteNet{t: t}
	n := newNode(t, RoleEdge, name, func(c *Config) { c.Dial = m.dial })
	n.dial(cores...)
	n.tweak = nil
	return n, m
}

// hasty is a core that finds a connection dead soon.
func hasty(c *Config) { c.Handshake = 200 * time.Millisecond }

// Two copies of one folder run under one name, at one core: the first stays, the other waits with growing delays, and loses
// nothing by it. Both are told; status shows it.
func TestTwinsAtOneCore(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "#", 1)
	a := newEdge(t, "b", x)
	a.wantState("x", "up")
	a.stop()
	other := newNode(t, RoleEdge, "b", nil)
	other.putBack(a.image())
	a.start()
	a.dial(x)
	a.wantState("x", "up")
	other.dial(x)
	for what, n := range map[string]*node{"the first": a, "the other": other} {
		eventually(t, what+" is told", func() bool { return strings.Contains(n.b.Status()[0].Twin, "cop") })
	}
	eventually(t, "the core shows it", func() bool { return x.status("b").Twin != "" })
	a.mustPublish("t", 1, numbered("a", 0, 20)...)
	other.mustPublish("t", 1, numbered("b", 0, 20)...)
	sub.want(t, numbered("a", 0, 20)...)
	if got := x.status("b").State; got != "up" {
		t.Errorf("the first one is %s, want up", got)
	}
	a.stop()
	other.wantState("x", "up")
	sub.want(t, append(numbered("a", 0, 20), numbered("b", 0, 20)...)...)
}

// The delays between a newcomer's attempts grow.
func TestTwinRetry(t *testing.T) {
	b := &Bridge{cfg: Config{Handshake: 10 * time.Second, Backoff: Backoff{Max: 30 * time.Second}}}
	for times, want := range []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 64e9, 2 * time.Minute, 2 * time.Minute} {
		if got := b.twinRetry(times + 1); got != want {
			t.Errorf("attempt %d: got %v, want %v", times+1, got, want)
		}
	}
	if got := b.twinRetry(1 << 30); got != 2*time.Minute {
		t.Errorf("got %v, want 2m", got)
	}
}

func TestRarely(t *testing.T) {
	var r rarely
	now, told := time.Unix(1e9, 0), 0
	for range 24 * 60 {
		if r.due(now) {
			told++
		}
		now = now.Add(time.Minute)
	}
	if told != 11 {
		t.Errorf("told %d times in a day, want 11: at once, then at doubling intervals", told)
	}
}

// A node restarts after a power cut. Its old connection looks alive to the core; the node is known by its lives and gets in at
// once. An older image put back looks like a copy: it gets in when the old connection has shown no sign of life.
func TestHalfOpenConnectionIsNoTwin(t *testing.T) {
	for _, restart := range []string{"the same folder", "an older image"} {
		t.Run(restart, func(t *testing.T) {
			x := newNode(t, RoleCore, "x", func(c *Config) {
				if restart == "an older image" {
					hasty(c)
				}
			})
			b, m := newMuteEdge(t, "b", x)
			b.wantState("x", "up")
			b.stop()
			image := b.image()
			b.tweak = func(c *Config) { c.Dial = m.dial }
			b.start()
			b.dial(x)
			b.wantState("x", "up")
			b.tweak = nil
			b.powerCut(m)
			if got := x.status("b").State; got != "up" {
				t.Fatalf("the dead connection is %s at the core, want up", got)
			}
			if restart == "an older image" {
				b.putBack(image)
			} else {
				b.start()
			}
			began := time.Now()
			b.dial(x)
			b.wantState("x", "up")
			if took := time.Since(began); restart == "the same folder" && took > 5*time.Second {
				t.Errorf("took %v, want less than it takes to find the old connection dead", took)
			}
			if b.b.Status()[0].Twin != "" || x.status("b").Twin != "" {
				t.Errorf("got twins %q and %q, want none", b.b.Status()[0].Twin, x.status("b").Twin)
			}
		})
	}
}

// Two copies under one name at two cores: both stay, and are told.
func TestTwinsAtTwoCores(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	sub := x.subscribe("s", "#", 1)
	y.wantInterest("x", "#", true)
	a := newNode(t, RoleEdge, "b", nil)
	a.stop()
	other := newNode(t, RoleEdge, "b", nil)
	other.putBack(a.image())
	a.start()
	a.dial(x)
	a.wantState("x", "up")
	x.drained("y")
	other.dial(y)
	for what, n := range map[string]*node{"the first": a, "the other": other} {
		eventually(t, what+" is told", func() bool { return strings.Contains(n.b.Status()[0].Twin, "cop") })
	}
	a.mustPublish("t", 1, numbered("a", 0, 20)...)
	other.mustPublish("t", 1, numbered("b", 0, 20)...)
	sub.wantOnce(t, append(numbered("a", 0, 20), numbered("b", 0, 20)...)...)
	if a.status("x").State != "up" || other.status("y").State != "up" {
		t.Errorf("got %s at x and %s at y, want both up", a.status("x").State, other.status("y").State)
	}
}

// The connection that an older image left at another core is half-open: the edge is there until it is found dead, then that
// core lets go.
func TestOlderImageElsewhereAfterAPowerCut(t *testing.T) {
	x, y := newNode(t, RoleCore, "x", hasty), newCore(t, "y")
	join(x, y)
	x.wantState("y", "up")
	b, m := newMuteEdge(t, "b", x)
	b.wantState("x", "up")
	b.stop()
	image := b.image()
	sub := &testClient{id: "s"}
	for i := range 3 { // attachments that the image does not count
		b.tweak = func(c *Config) { c.Dial = m.dial }
		b.start()
		b.router.Subscribe(sub, mqtt.Subscription{Filter: "t", QoS: 1})
		b.dial(x)
		b.wantState("x", "up")
		x.wantInterest("b", "t", true)
		if i < 2 {
			b.stop()
		}
	}
	b.tweak = nil
	b.powerCut(m)
	x.mustPublish("t", 1, "held")
	b.putBack(image)
	b.router.Subscribe(sub, mqtt.Subscription{Filter: "t", QoS: 1})
	b.dial(y)
	b.wantState("y", "up")
	x.wantState("b", "moved")
	sub.want(t, "held")
}
