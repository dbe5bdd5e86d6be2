package session

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/overflow"
	"mangrove/internal/sim"
	"mangrove/internal/store"
	"mangrove/internal/wal/waltest"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

func TestDurableBound(t *testing.T) {
	for _, c := range []struct {
		policy  overflow.Policy
		refused int
		want    []string
	}{
		{overflow.Refuse, 3, []string{"a", "b", "c"}},
		{overflow.DropNew, 0, []string{"a", "b", "c"}},
		{overflow.DropOldest, 0, []string{"d", "e", "f"}},
	} {
		t.Run(string(c.policy), func(t *testing.T) {
			reg := metrics.New()
			n := newNode(t, true, func(cfg *Config) { cfg.MaxQueuedMessages, cfg.WhenFull.Default, cfg.Metrics = 3, c.policy, reg })
			s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
			subscribe(t, s, "t", 1)
			s.Detach(out, mqtt.DetachRequest{})
			refused := 0
			for _, p := range []string{"a", "b", "c", "d", "e", "f"} {
				err := n.send("t", p, 1)
				if errors.Is(err, mqtt.ErrQuota) {
					refused++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the queue is at its bound", func() bool { return s.info().Queued == 3 })
			if drops := int(reg.Dropped("queue-full").Get()); refused != c.refused || drops != 3-c.refused {
				t.Fatalf("got %d refused, %d dropped, want %d and %d", refused, drops, c.refused, 3-c.refused)
			}
			n.restart()
			_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
			for i, line := range out.take(t, 3) {
				if want := "PUBLISH " + c.want[i] + " "; line[:len(want)] != want {
					t.Errorf("got %q, want %q", line, want)
				}
			}
		})
	}
}

// A few large messages are above the bound in bytes: the oldest ones go, and the newest stay. [promise P6]
func TestDropOldestByBytes(t *testing.T) {
	size := int64((&mqtt.Message{Topic: "t", Payload: make([]byte, 1000)}).Size())
	n := newNode(t, true, func(c *Config) { c.MaxQueuedBytes = 3 * size })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	for _, first := range []string{"a", "b", "c", "d", "e", "f"} {
		n.mustSend("t", 1, first+strings.Repeat("x", 999))
	}
	eventually(t, "the queue is at its bound", func() bool { return s.info().QueuedBytes == 3*size && n.rows(batch.Queues) == 3 })
	_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	for i, line := range out.take(t, 3) {
		if want := "PUBLISH " + string("def"[i]) + "x"; !strings.HasPrefix(line, want) {
			t.Errorf("got %.20q, want %q", line, want)
		}
	}
}

// While records are being cut out of the tail it is not read: what has expired would be dropped a second time.
func TestTailIsNotReadWhileItIsCut(t *testing.T) {
	reg, disk, later := metrics.New(), sim.NewDisk(), new(atomic.Int64)
	n := newNode(t, true, func(c *Config) {
		c.WindowMessages, c.AckDelay, c.Metrics = 1, hour, reg
		c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	n.stop()
	n.disk.Faults = &store.Faults{Log: waltest.Files{Disk: disk}}
	n.start()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: 2 * hour, ReceiveMaximum: 1})
	subscribe(t, s, "t", 1)
	n.mustSend("t", 1, "in flight", "in memory")
	for _, m := range []*mqtt.Message{{Payload: []byte("expires"), Expires: time.Now().Add(hour)}, {Payload: []byte("last")}} {
		m.Topic, m.QoS = "t", 1
		if err := n.sendMessage(m); err != nil {
			t.Fatal(err)
		}
	}
	release := disk.Hold() // before the hour passes: a worker sweeps too
	defer release()
	later.Store(int64(hour))
	s.sweep()
	out.want(t, "PUBLISH in flight qos 1 id 2")
	ack(t, s, packet.PUBACK, 2)
	out.want(t, "PUBLISH in memory qos 1 id 3")
	ack(t, s, packet.PUBACK, 3)
	s.fill()
	out.idle(t)
	release()
	out.want(t, "PUBLISH last qos 1 id 5")
	ack(t, s, packet.PUBACK, 5)
	if got, queued := reg.Dropped("expired").Get(), s.info().Queued; got != 1 || queued != 0 {
		t.Errorf("got %d messages dropped and %d queued, want 1 and none", got, queued)
	}
}

// Room is what half of the queue has left.
func TestRoom(t *testing.T) {
	for _, bound := range []struct {
		messages int
		bytes    int64
		rooms    int
	}{{4, 1 << 20, 2}, {5, 1 << 20, 3}, {1, 1 << 20, 1}, {100, 1000, 2}, {100, 1, 1}} {
		n := newNode(t, true, func(cfg *Config) { cfg.MaxQueuedMessages, cfg.MaxQueuedBytes = bound.messages, bound.bytes })
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
		subscribe(t, s, "t", 1)
		s.Detach(out, mqtt.DetachRequest{})
		m := &mqtt.Message{Topic: "t", Payload: make([]byte, 89)} // 250 bytes
		rooms := 0
		for ; rooms < 10 && s.Room(m.Size()); rooms++ {
			if err := n.send("t", string(m.Payload), 1); err != nil {
				t.Fatal(err)
			}
		}
		if rooms != bound.rooms {
			t.Errorf("%+v: got room for %d", bound, rooms)
		}
	}
}

// Expired messages leave the disk while the client is away. [MQTT-3.3.2-5]
func TestSweep(t *testing.T) {
	reg := metrics.New()
	n := newNode(t, true, func(c *Config) { c.SweepEvery, c.Metrics = time.Millisecond, reg })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	for i := range 20 {
		m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1}
		switch i % 3 {
		case 0:
			m.Expires = time.Now().Add(50 * time.Millisecond)
		case 1:
			m.Expires = time.Now().Add(hour)
		}
		if err := n.sendMessage(m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "expired messages are gone", func() bool { return s.info().Queued == 13 && n.rows(batch.Queues) == 13 })
	if got := reg.Dropped("expired").Get(); got != 7 {
		t.Fatalf("got %d drops, want 7", got)
	}
	_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	out.want(t, "PUBLISH 1 qos 1 id 3", "PUBLISH 2 qos 1 id 4", "PUBLISH 4 qos 1 id 6")
}

// A long queue is swept in steps, while messages go on coming.
func TestSweepInSteps(t *testing.T) {
	const messages = 2*cutStep + 100
	n := newNode(t, true, func(c *Config) { c.SweepEvery = time.Millisecond })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	soon := time.Now().Add(200 * time.Millisecond)
	for i := range messages {
		m := &mqtt.Message{Topic: "t", QoS: 1}
		if i%2 == 0 {
			m.Expires = soon.Add(time.Duration(i) * 10 * time.Microsecond)
		}
		n.publishLater(m)
	}
	eventually(t, "half of it is left", func() bool { return s.info().Queued == messages/2 && n.rows(batch.Queues) == messages/2 })
}

// A message that comes while a sweep is under way has noted when it expires; the end of the sweep keeps the earlier of that and of what it
// left.
func TestExpiryNotedDuringASweep(t *testing.T) {
	n := newNode(t, true, nil)
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	n.mustSend("t", 1, "waits")
	later := time.Now().Add(hour).UnixMilli()
	for _, c := range []struct{ noted, left, want int64 }{
		{later, 0, later}, {0, later, later}, {later, later + 1, later}, {later + 1, later, later}, {0, 0, 0},
	} {
		s.lock()
		s.traffic.soonest = c.noted
		s.sweptLocked(&cut{why: dropExpired, least: c.left})
		got := s.traffic.soonest
		s.unlock()
		if got != c.want {
			t.Errorf("noted %d, left %d: got %d, want %d", c.noted, c.left, got, c.want)
		}
	}
}

// A queue of a million messages would take the same memory.
func TestSleepingSessionHoldsNothing(t *testing.T) {
	n := newNode(t, true, nil)
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	for range 500 {
		n.sendLater("t", "m", 1)
	}
	n.mustSend("t", 1, "last")
	eventually(t, "all are stable", func() bool { s.lock(); defer s.unlock(); return s.traffic.writing == 0 })
	s.lock()
	defer s.unlock()
	if o := &s.traffic.out; o.win.buf != nil || o.pending != nil || o.tail != 501 {
		t.Fatalf("got a window of %d, %d pending, %d on disk; want 0, 0, 501", len(o.win.buf), len(o.pending), o.tail)
	}
}

// A full disk refuses new messages; what is queued goes out, and its going makes room. [promise P6]
func TestFullDisk(t *testing.T) {
	n := newNode(t, true, nil)
	n.stop()
	n.disk.MaxFileBytes = 1 << 20
	n.start()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 2)
	s.Detach(out, mqtt.DetachRequest{})
	payload := strings.Repeat("x", 10_000)
	kept := 0
	var err error
	for ; err == nil && kept < 1000; kept++ {
		err = n.send("t", fmt.Sprint(kept, payload), 2)
	}
	kept--
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v after %d messages, want the disk to be full", err, kept)
	}
	eventually(t, "the refused one is not queued", func() bool { return s.info().Queued == kept })
	// The record of a new connection may not fit either; that is told, and the session stays.
	eventually(t, "the client connects", func() bool {
		out = newOutlet()
		_, _, err := n.Open(mqtt.OpenRequest{ClientID: "c", Expiry: hour, ReceiveMaximum: 1}, out)
		return err == nil
	})
	s.Resume()
	for i := range kept {
		line := out.take(t, 1)[0]
		if want := fmt.Sprint("PUBLISH ", i, "x"); !strings.HasPrefix(line, want) {
			t.Fatalf("got %.20q, want %q", line, want)
		}
		id := packetID(uint64(i + 1))
		// PUBREC is kept with a small record that takes the place of a larger one.
		for {
			ack(t, s, packet.PUBREC, id)
			if got := out.take(t, 1)[0]; got == fmt.Sprint("PUBREL ", id) {
				break
			} else if got != "CLOSE 0x80" {
				t.Fatalf("got %.30q, want PUBREL or the connection to end", got)
			}
		}
		ack(t, s, packet.PUBCOMP, id)
	}
	eventually(t, "there is room again", func() bool { return n.send("t", "new", 2) == nil })
	out.want(t, fmt.Sprint("PUBLISH new qos 2 id ", packetID(s.traffic.out.next-1)))
}
