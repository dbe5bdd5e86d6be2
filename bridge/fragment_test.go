package bridge

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/lane"
)

// noise is n bytes that no compression makes less.
func noise(n int) string {
	b, r := make([]byte, n), rand.NewChaCha8([32]byte{})
	r.Read(b) // never fails
	return string(b)
}

// thinConn is a line that takes at most rate bytes a second, when rate is set.
type thinConn struct {
	net.Conn
	rate *atomic.Int64
}

func (c *thinConn) NetConn() net.Conn { return c.Conn }

func (c *thinConn) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		some := b[n:]
		if rate := c.rate.Load(); rate > 0 {
			some = some[:min(len(some), 1+int(rate/50))]
			time.Sleep(time.Duration(len(some)) * time.Second / time.Duration(rate))
		}
		var w int
		w, err = c.Conn.Write(some)
		n += w
	}
	return n, err
}

// newThinEdge makes an edge whose line to the cores can be made thin.
func newThinEdge(t *testing.T, name string, tweak func(*Config)) (*node, *atomic.Int64) {
	rate := new(atomic.Int64)
	return newNode(t, RoleEdge, name, func(c *Config) {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			return &thinConn{conn, rate}, err
		}
		if tweak != nil {
			tweak(c)
		}
	}), rate
}

// A message that is too large for a frame crosses all the same, up, down and between cores, at any QoS, and in its place.
func TestMessageAboveTheFrameBound(t *testing.T) {
	small := func(c *Config) { c.MaxFrameBytes = 10_000 }
	x, y := newNode(t, RoleCore, "x", small), newNode(t, RoleCore, "y", nil)
	join(x, y)
	x.wantState("y", "up")
	a := newNode(t, RoleEdge, "a", small)
	a.dial(x)
	a.wantState("x", "up")
	big := noise(100_000)
	up, across, down := x.subscribe("s", "up", 2), y.subscribe("s", "up", 2), a.subscribe("s", "down", 2)
	x.wantInterest("y", "up", true)
	x.wantInterest("a", "down", true)
	y.wantInterest("x", "down", true)
	var want []string
	for qos := byte(0); qos <= 2; qos++ {
		a.mustPublish("up", qos, "before", big, "after")
		y.mustPublish("down", qos, "before", big, "after")
		want = append(want, "before", big, "after")
		up.want(t, want...)
		across.want(t, want...)
		down.want(t, want...)
	}
	a.drained("x")
	if got := a.status("x").Sent; got != 9 {
		t.Errorf("got %d messages sent, want 9", got)
	}
}

// inPart waits until so many bytes of a message from name are here.
func (n *node) inPart(name string, bytes int) {
	n.t.Helper()
	eventually(n.t, "a part is here", func() bool {
		from := n.b.lookup(name)
		return from != nil && from.partHeld().Bytes >= bytes
	})
}

// A connection that ends in the middle of a message is not the end of what has come: the next one brings the rest.
func TestFragmentsGoOnAfterACut(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "#", 1)
	a, rate := newThinEdge(t, "a", nil)
	a.dial(x)
	a.wantState("x", "up")
	big := noise(200_000)
	rate.Store(100_000)
	a.mustPublish("t", 1, "before", big, "after")
	x.inPart("a", 1)
	for held := 0; held < 120_000; {
		x.cut()
		before := held
		x.inPart("a", before+40_000)
		if held = x.b.lookup("a").partHeld().Bytes; held < before {
			t.Fatalf("%d bytes are held, before the cut %d were", held, before)
		}
	}
	x.cut()
	eventually(t, "the link is back", func() bool { return x.b.lookup("a").link.Load() != nil })
	if held := x.b.lookup("a").partHeld().Bytes; held < 120_000 {
		t.Errorf("after a cut %d bytes are held, want 120,000", held)
	}
	sub.want(t, "before", big, "after")
	a.drained("x")
	if x.b.parts.Load() != 0 || a.b.uplink.n.whole.Load() != nil {
		t.Errorf("%d bytes of parts are left, and %v", x.b.parts.Load(), a.b.uplink.n.whole.Load())
	}
}

// After a restart of either end the message begins again, and comes once.
func TestFragmentsAfterARestart(t *testing.T) {
	x := newCore(t, "x")
	sub := &testClient{id: "s"}
	x.restart(sub)
	a, rate := newThinEdge(t, "a", nil)
	a.dial(x)
	a.wantState("x", "up")
	big := noise(100_000)
	rate.Store(100_000)
	a.mustPublish("t", 1, big, "after")
	x.inPart("a", 30_000)
	x.restart(sub)
	x.inPart("a", 30_000)
	a.restart()
	a.dial(x)
	sub.want(t, big, "after")
	a.drained("x")
}

// What is urgent passes between fragments.
func TestFragmentsLeaveRoom(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "up", 1)
	a, rate := newThinEdge(t, "a", nil)
	down := a.subscribe("s", "down", 1)
	a.dial(x)
	x.wantInterest("a", "down", true)
	rate.Store(20_000)
	a.mustPublish("up", 1, noise(100_000))
	x.inPart("a", 10_000)
	a.subscribe("new", "news", 1)
	x.mustPublish("down", 1, "while it comes")
	x.wantInterest("a", "news", true)
	x.drained("a")
	down.want(t, "while it comes")
	if len(sub.payloads()) > 0 {
		t.Error("100,000 bytes came before what was urgent")
	}
}

// A core keeps parts for a while, and within a bound; those of neighbours that are away go first.
func TestPartsAreBounded(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.MaxPartBytes = 150_000; c.NeighbourExpiry = time.Second })
	sub := x.subscribe("s", "#", 1)
	a, rate := newThinEdge(t, "a", nil)
	a.dial(x)
	a.wantState("x", "up")
	rate.Store(50_000)
	a.mustPublish("t", 1, noise(100_000))
	x.inPart("a", 60_000)
	x.setDeaf(true)
	a.stop()
	x.setDeaf(false)
	b := newEdge(t, "b", x)
	b.wantState("x", "up")
	b.mustPublish("t", 1, noise(120_000))
	b.drained("x")
	if got := len(sub.payloads()); got != 1 || x.b.parts.Load() > 150_000 {
		t.Errorf("got %d messages and %d bytes of parts", got, x.b.parts.Load())
	}
}

// A neighbour that is there, and holds all the room with a message that it does not end, keeps nobody out.
func TestPartThatNeverEndsKeepsNobodyOut(t *testing.T) {
	for _, volatile := range []bool{false, true} {
		x := newNode(t, RoleCore, "x", func(c *Config) { c.MaxPartBytes = 150_000; c.RefuseRetry = time.Second })
		sub := x.subscribe("s", "#", 1)
		a, rate := newThinEdge(t, "a", nil)
		a.dial(x)
		a.wantState("x", "up")
		rate.Store(400_000)
		qos := byte(1)
		if volatile {
			qos = 0
		}
		a.mustPublish("t", qos, noise(140_000))
		eventually(t, "most of the room is taken", func() bool { return x.b.parts.Load() > 110_000 })
		rate.Store(100)
		b := newEdge(t, "b", x)
		b.wantState("x", "up")
		b.mustPublish("t", 1, noise(100_000))
		eventually(t, "the smaller one is there", func() bool { return len(sub.payloads()) == 1 })
		b.drained("x")
	}
}

// A message that is too long for a frame, but not when it is compressed, goes in fragments: the other side bounds what it unpacks.
func TestLongMessageThatCompresses(t *testing.T) {
	small := func(c *Config) { c.MaxFrameBytes = 64 << 10 }
	x, a := newNode(t, RoleCore, "x", small), newNode(t, RoleEdge, "a", small)
	a.dial(x)
	s := x.subscribe("s", "t", 1)
	long := strings.Repeat("long", 50_000)
	a.mustPublish("t", 1, "before", long, "after")
	s.want(t, "before", long, "after")
}

// A fragment that goes on with a frame of which nothing is here, or leaves a gap, ends the link; one that came before is passed over.
func TestFragmentsThatDoNotFollow(t *testing.T) {
	b, p := &Bridge{cfg: Config{Now: time.Now}}, new(part)
	for _, c := range []struct {
		name uint64
		from int
		held int
		ok   bool
	}{{1, 0, 10, true}, {1, 20, 10, false}, {2, 10, 10, false}, {1, 0, 10, true}, {1, 5, 15, true}, {2, 0, 10, true}} {
		held, _, err := b.collect(p, frame.Fragment{Name: c.name, Size: 100, From: c.from, Bytes: make([]byte, 10)})
		if (err == nil) != c.ok || c.ok && held != c.held || int(b.parts.Load()) != p.size {
			t.Errorf("frame %d from %d: got %d held, %v; want %d, ok %v; %d counted", c.name, c.from, held, err, c.held, c.ok, b.parts.Load())
		}
	}
}

// The next connection sends no byte again that the other side says it holds.
func TestFragmentsGoOnWhereTheyEnded(t *testing.T) {
	b := &Bridge{cfg: Config{Log: slog.New(slog.DiscardHandler)}}
	for _, c := range []struct {
		held frame.Held
		pos  uint64
		from int // -1 = it is another message
	}{{frame.Held{Name: 7, Bytes: 120}, 3, 120}, {frame.Held{Name: 8, Bytes: 120}, 3, 0}, {frame.Held{Name: 7, Bytes: 200}, 3, 199}, {frame.Held{Name: 7, Bytes: 120}, 4, -1}} {
		l := b.newLink("", "", true)
		l.n = &neighbour{b: b}
		l.theirs = frame.Hello{Features: frame.FeatureFragments, MaxPart: 1 << 20, Part: c.held}
		l.n.whole.Store(&whole{name: 7, position: 3, form: l.form(), body: make([]byte, 200)})
		if goesOn := l.resume(&lane.Entry{Pos: c.pos}); goesOn != (c.from >= 0) || goesOn && l.cutting.next != c.from {
			t.Errorf("%+v, message %d: got %v, %+v; want from %d", c.held, c.pos, goesOn, l.cutting, c.from)
		}
	}
}

// Where nobody can give way there is room up to the bound, and not beyond.
func TestRoomForParts(t *testing.T) {
	b := &Bridge{cfg: Config{MaxPartBytes: 100, Now: time.Now}}
	b.parts.Store(60)
	if mine := new(part); !b.partRoom(mine, 40) || b.partRoom(mine, 41) {
		t.Error("60 bytes of 100 are taken: want room for 40 and not for 41")
	}
}

// A part takes as much memory as is counted, whatever the size of its fragments, and comes out as it went in.
func TestPartTakesWhatIsCounted(t *testing.T) {
	x := newCore(t, "x")
	want, p := []byte(noise(8<<20+5)), new(part)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	from := 0
	for ; from+700 < len(want); from += 700 {
		f := frame.Fragment{Name: 1, Size: len(want), From: max(from-100, 0), Bytes: want[max(from-100, 0) : from+700]}
		if held, whole, err := x.b.collect(p, f); held != from+700 || whole != nil || err != nil {
			t.Fatalf("got %d, %d, %v", held, len(whole), err)
		}
	}
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(len(want)*9/8); got > most || x.b.parts.Load() != int64(from) {
		t.Errorf("%d bytes were allocated for %d, want at most %d; %d are counted", got, len(want), most, x.b.parts.Load())
	}
	_, whole, err := x.b.collect(p, frame.Fragment{Name: 1, Size: len(want), From: from, Bytes: want[from:]})
	if err != nil || !bytes.Equal(whole, want) || x.b.parts.Load() != 0 {
		t.Errorf("%d bytes came out, %v; %d are counted", len(whole), err, x.b.parts.Load())
	}
}
