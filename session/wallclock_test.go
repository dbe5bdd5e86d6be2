package session

import (
	"sync/atomic"
	"testing"
	"time"

	"mangrove/mqtt"
)

// decades is how far a wall clock is off that nobody has set.
const decades = 40 * 365 * 24 * time.Hour

// A gateway starts decades ago, learns the time, is switched off, and starts decades ago again: sessions, queued messages and
// delayed wills neither end by that, nor stay for ever.
func TestWallClockJumps(t *testing.T) {
	var ahead, later atomic.Int64
	n := &node{t: t, tempDir: t.TempDir, dir: t.TempDir()}
	n.disk.Wall = func() time.Time { return time.Now().Round(0).Add(time.Duration(ahead.Load())) }
	n.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	n.cfg.SweepEvery, n.cfg.WillGrace = time.Millisecond, time.Nanosecond
	ahead.Store(-int64(decades))
	n.start()
	defer func() { n.stop() }()

	will := mqtt.OpenRequest{ClientID: "will", Expiry: 3 * hour, Will: testWill("gone"), WillDelay: 2 * hour}
	s, out, _ := n.connect(will)
	s.Detach(out, mqtt.DetachRequest{})
	s, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: 2 * hour})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	send := func(payload string) {
		t.Helper()
		m := &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: 1, Expires: n.cfg.Now().Add(hour)}
		if err := n.sendMessage(m); err != nil {
			t.Fatal(err)
		}
	}
	send("a")
	all := func(why string, queued int) {
		t.Helper()
		n.timers.look.Ring()
		n.lookup("c").sweep()
		if got := n.lookup("c").info().Queued; got != queued || n.lookup("will") == nil || len(n.router.published("will")) > 0 {
			t.Fatalf("%s: got %d messages, wills %v; want %d and no will", why, got, n.router.published("will"), queued)
		}
	}
	ahead.Store(0)
	all("the time server answered", 1)
	send("b")
	n.restart()
	all("restarted", 2)
	n.stop()
	ahead.Store(-int64(decades))
	n.start()
	all("started decades ago", 2)
	send("c")
	ahead.Store(0)
	all("the time server answered again", 3)
	n.restart()
	all("restarted", 3)
	if _, out, present := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: 2 * hour, ReceiveMaximum: 3}); !present {
		t.Fatal("got no session, want it to be there")
	} else {
		out.want(t, "PUBLISH a qos 1 id 2", "PUBLISH b qos 1 id 3", "PUBLISH c qos 1 id 4")
		n.lookup("c").Detach(out, mqtt.DetachRequest{})
	}
	later.Store(int64(time.Minute + 2*hour)) // time that has passed
	n.timers.look.Ring()
	eventually(t, "the session ends and the will is published", func() bool {
		n.timers.look.Ring()
		return n.lookup("c") == nil && len(n.router.published("will")) == 1
	})
}

// A queued message expires after its time, wherever the wall clock stands: neither at once nor decades later.
func TestQueuedMessageAndTheWallClock(t *testing.T) {
	for _, ahead := range []time.Duration{-decades, decades} {
		var later atomic.Int64
		n := &node{t: t, tempDir: t.TempDir, dir: t.TempDir()}
		n.disk.Wall = func() time.Time { return time.Now().Round(0).Add(ahead) }
		n.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		n.start()
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: -1})
		subscribe(t, s, "t", 1)
		s.Detach(out, mqtt.DetachRequest{})
		if err := n.sendMessage(&mqtt.Message{Topic: "t", QoS: 1, Expires: n.cfg.Now().Add(hour)}); err != nil {
			t.Fatal(err)
		}
		queued := func() int {
			s.sweep()
			eventually(t, "the sweep is stable", func() bool {
				s.lock()
				defer s.unlock()
				return s.traffic == nil || !s.traffic.out.cutting
			})
			return s.info().Queued
		}
		if got := queued(); got != 1 {
			t.Errorf("wall clock off by %v: got %d messages at once, want 1", ahead, got)
		}
		later.Store(int64(hour + time.Second))
		eventually(t, "the message expires", func() bool { return queued() == 0 })
		n.stop()
	}
}
