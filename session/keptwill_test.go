package session

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// willNode is a node that does not wait with wills after a start, and whose clock can be set ahead.
func willNode(t *testing.T, change func(*Config)) (n *node, ahead *atomic.Int64) {
	ahead = new(atomic.Int64)
	return newNode(t, true, func(c *Config) {
		c.WillGrace = time.Nanosecond
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		if change != nil {
			change(c)
		}
	}), ahead
}

// fleeting is a CONNECT whose session ends with the connection.
func fleeting(id string, will *mqtt.Message) mqtt.OpenRequest {
	return mqtt.OpenRequest{ClientID: id, Clean: true, Will: will}
}

// wantKept checks how many wills the store has, and what was published since the last start.
func (n *node) wantKept(t *testing.T, why string, rows int, published ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s: %d records", why, rows), func() bool { return n.rows(batch.Sessions) == rows })
	if got := n.router.published("will"); fmt.Sprint(got) != fmt.Sprint(published) {
		t.Errorf("%s: got wills %q, want %q", why, got, published)
	}
	if room := n.Manager.wills.bytes.Load(); (room != 0) != (rows != 0) {
		t.Errorf("%s: got %d bytes counted for %d records", why, room, rows)
	}
}

// The will of a connection whose session would end with it outlives the node, and is published once, as it was.
// [MQTT-3.1.2-7] [MQTT-3.1.2-8]
func TestWillOfASessionInMemoryAcrossCrash(t *testing.T) {
	n, _ := willNode(t, nil)
	w := testWill("gone")
	w.QoS, w.Retain = 2, true
	n.connect(fleeting("c", w))
	n.connect(fleeting("without", nil))
	n.wantKept(t, "connected", 1)
	n.die()
	eventually(t, "the will is published, the session is over", func() bool { return n.lookup("c") == nil })
	n.wantKept(t, "after the crash", 0, "gone")
	if m := n.router.wills[0]; m.QoS != 2 || !m.Retain || m.Publisher != "c" {
		t.Errorf("got %+v, want the will with its QoS, RETAIN and client", m)
	}
	n.die()
	n.wantKept(t, "after another crash", 0)
}

// Whatever ends a connection in a run ends its record with it: after a crash nothing comes again. [MQTT-3.1.2-10]
func TestRecordOfAWillEndsWithIt(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(n *node, s *Session, out *fakeOutlet)
		want []string
		rows int
	}{
		"DISCONNECT": {func(_ *node, s *Session, out *fakeOutlet) { s.Detach(out, mqtt.DetachRequest{DropWill: true}) }, nil, 0},
		"lost":       {func(_ *node, s *Session, out *fakeOutlet) { s.Detach(out, mqtt.DetachRequest{}) }, []string{"gone"}, 0},
		"kicked":     {func(n *node, _ *Session, _ *fakeOutlet) { n.Remove("c", true) }, []string{"gone"}, 0},
		"taken over without a will": {func(n *node, _ *Session, _ *fakeOutlet) { n.connect(fleeting("c", nil)) },
			[]string{"gone"}, 0},
		"taken over with another": {func(n *node, _ *Session, _ *fakeOutlet) { n.connect(fleeting("c", testWill("second"))) },
			[]string{"gone"}, 1},
		"taken over by a durable session": {func(n *node, _ *Session, _ *fakeOutlet) {
			n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour, Will: testWill("second")})
		}, []string{"gone"}, 1},
		"closed": {func(n *node, _ *Session, _ *fakeOutlet) { n.Manager.Close() }, []string{"gone"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := willNode(t, nil)
			s, out, _ := n.connect(fleeting("c", testWill("gone")))
			c.end(n, s, out)
			eventually(t, "the store has it", func() bool { return n.rows(batch.Sessions) == c.rows })
			if got := n.router.published("will"); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got wills %q, want %q", got, c.want)
			}
			n.die()
			var second []string
			if c.rows > 0 {
				second = []string{"second"}
			}
			eventually(t, "what is left is published", func() bool { return fmt.Sprint(n.router.published("will")) == fmt.Sprint(second) })
		})
	}
}

// A durable session gives way to one in memory with a will, and both know the right record.
func TestWillTakesADurableSessionsPlace(t *testing.T) {
	n, _ := willNode(t, nil)
	n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	n.connect(fleeting("c", testWill("gone")))
	n.wantKept(t, "the record is the will's", 1)
	n.die()
	eventually(t, "the session is over", func() bool { return n.lookup("c") == nil })
	n.wantKept(t, "after the crash", 0, "gone")
}

// After a crash a will waits for its delay, over further crashes and an hour at most; a client that is back before stops it, one that is back
// later does not. [MQTT-3.1.2-8] [MQTT-3.1.3-9]
func TestWillDelayAcrossCrash(t *testing.T) {
	n, ahead := willNode(t, nil)
	connect := func(id string, delay time.Duration) (present bool) {
		req := fleeting(id, testWill(id))
		req.WillDelay = delay
		_, _, present = n.connect(req)
		return present
	}
	connect("back in time", time.Minute)
	connect("late", time.Minute)
	connect("away", time.Minute)
	connect("patient", 100*time.Hour)
	n.die()
	ahead.Add(int64(40 * time.Second))
	if connect("back in time", time.Minute) {
		t.Error("got a session present, want none")
	}
	n.wantKept(t, "within the delay", 4)
	n.die()
	ahead.Add(int64(25 * time.Second))
	connect("late", 0)
	n.timers.look.Ring()
	eventually(t, "the session is over", func() bool { return n.lookup("away") == nil })
	slices.SortFunc(n.router.wills, func(a, b *mqtt.Message) int { return bytes.Compare(a.Payload, b.Payload) })
	n.wantKept(t, "after the delay", 3, "away", "late")
	ahead.Add(int64(time.Hour))
	n.timers.look.Ring()
	eventually(t, "the session is over", func() bool { return n.lookup("patient") == nil && n.lookup("back in time") == nil })
	eventually(t, "the other too", func() bool { return n.rows(batch.Sessions) == 1 })
}

// What such wills may take of the disk is bounded: beyond it they are in memory only, as the counter says. [promise P6]
func TestBoundOfKeptWills(t *testing.T) {
	reg := metrics.New()
	n, _ := willNode(t, func(c *Config) { c.MaxWillBytes, c.Metrics = 1000, reg })
	large := testWill(strings.Repeat("x", 700))
	n.connect(fleeting("a", large))
	s, out, _ := n.connect(fleeting("b", large))
	n.connect(mqtt.OpenRequest{ClientID: "durable", Expiry: hour, Will: large})
	if rows, unkept := n.rows(batch.Sessions), reg.Counter("mangrove_session_wills_unkept_total").Get(); rows != 2 || unkept != 1 {
		t.Fatalf("got %d records and %d wills unkept, want 2 and 1", rows, unkept)
	}
	s.Detach(out, mqtt.DetachRequest{})
	if got := len(n.router.published("will")); got != 1 {
		t.Errorf("got %d wills, want that of the connection that ended", got)
	}
	n.connect(fleeting("a", nil))
	n.connect(fleeting("b", large))
	if rows := n.rows(batch.Sessions); rows != 2 {
		t.Errorf("got %d records, want 2: there is room again", rows)
	}
}

// A full disk lets such clients connect: their wills are in memory, as before the disk was full.
func TestWillOnAFullDisk(t *testing.T) {
	reg := metrics.New()
	n, _ := willNode(t, func(c *Config) { c.Metrics = reg })
	n.stop()
	n.disk.MaxFileBytes = 1 << 20
	n.start()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "sub", Expiry: hour})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		err = n.send("t", strings.Repeat("x", 10_000), 1)
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v, want the disk to be full", err)
	}
	s, out, _ = n.connect(fleeting("c", testWill(strings.Repeat("x", 60_000))))
	if unkept := reg.Counter("mangrove_session_wills_unkept_total").Get(); unkept != 1 {
		t.Errorf("got %d wills unkept, want 1", unkept)
	}
	if room := n.Manager.wills.bytes.Load(); room != 0 {
		t.Errorf("got %d bytes counted, want none", room)
	}
	s.Detach(out, mqtt.DetachRequest{})
	if got := len(n.router.published("will")); got != 1 {
		t.Errorf("got %d wills, want 1", got)
	}
}
