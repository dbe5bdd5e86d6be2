package session

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/sim"
	"mangrove/internal/store"
	"mangrove/internal/wal/waltest"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

const hour = time.Hour

// A message that waits on disk goes out after a restart, in order, and is removed when acknowledged.
func TestQueueSurvivesRestart(t *testing.T) {
	n := newNode(t, true, nil)
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 2)
	s.Detach(out, mqtt.DetachRequest{})
	n.mustSend("t", 1, "a", "b", "c")
	n.restart()
	s, out, present := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	if !present {
		t.Fatal("got no session, want one")
	}
	out.want(t, "PUBLISH a qos 1 id 2", "PUBLISH b qos 1 id 3", "PUBLISH c qos 1 id 4")
	ack(t, s, packet.PUBACK, 2, 3, 4)
	n.mustSend("t", 1, "d")
	out.want(t, "PUBLISH d qos 1 id 5")
	n.restart()
	_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	out.want(t, "PUBLISH d qos 1 id 5 dup")
	out.idle(t)
}

func TestWindowIsFilledFromDisk(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.WindowMessages, c.MaxInflight = 8, 4 })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	for i := range 200 {
		n.mustSend("t", 1, fmt.Sprint(i))
	}
	for i := range 200 {
		out.want(t, fmt.Sprintf("PUBLISH %d qos 1 id %d", i, i+2))
		ack(t, s, packet.PUBACK, uint16(i+2))
	}
	eventually(t, "queue is empty", func() bool { return s.info().Queued == 0 })
	out.idle(t)
}

// A message whose record is stable before that of an earlier one waits for it. [promise P3]
func TestTailIsReadUpToWhatIsNotStable(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.WindowMessages = 1 })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour, ReceiveMaximum: 1})
	subscribe(t, s, "t", 1)
	n.mustSend("t", 1, "in flight", "in memory")
	late := n.newBatch()
	r := mqtt.NewReceipt(late, nil)
	n.lend(&mqtt.Message{Topic: "t", Payload: []byte("late"), QoS: 1}, r)
	r.Close()
	n.mustSend("t", 1, "last")
	out.want(t, "PUBLISH in flight qos 1 id 2")
	ack(t, s, packet.PUBACK, 2)
	out.want(t, "PUBLISH in memory qos 1 id 3")
	ack(t, s, packet.PUBACK, 3)
	s.fill()
	out.idle(t)
	n.cfg.Store.Commit(late)
	out.want(t, "PUBLISH late qos 1 id 4")
	ack(t, s, packet.PUBACK, 4)
	out.want(t, "PUBLISH last qos 1 id 5")
}

// ack answers as a client does.
func ack(t tester, s *Session, kind packet.Type, ids ...uint16) {
	t.Helper()
	for _, id := range ids {
		if err := s.Acked(kind, id, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// The halves of QoS 2 to a client survive. [MQTT-4.3.3-4] [MQTT-4.4.0-1]
func TestReleasedSurvivesCrash(t *testing.T) {
	n := newNode(t, true, nil)
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 2)
	n.mustSend("t", 2, "a", "b")
	out.want(t, "PUBLISH a qos 2 id 2", "PUBLISH b qos 2 id 3")
	ack(t, s, packet.PUBREC, 2)
	out.want(t, "PUBREL 2")
	n.die()
	s, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	out.want(t, "PUBREL 2", "PUBLISH b qos 2 id 3 dup")
	ack(t, s, packet.PUBREC, 3)
	out.want(t, "PUBREL 3")
	ack(t, s, packet.PUBCOMP, 2, 3)
	eventually(t, "records are removed", func() bool { return n.rows(batch.Queues) == 0 })
}

// A packet id that a client used for QoS 2 is known after a crash, from its PUBLISH to its PUBCOMP. [MQTT-4.3.3-10]
func TestTakeSurvivesCrash(t *testing.T) {
	n := newNode(t, true, nil)
	s, _, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	take := func(id uint16, refuse error) (repeat bool, result error) {
		b := n.newBatch()
		done := make(chan error, 1)
		r := mqtt.NewReceipt(b, func(err error) { done <- err })
		repeat = s.Take(id, r)
		if refuse != nil {
			r.Refuse(refuse)
		}
		r.Close()
		n.cfg.Store.Commit(b)
		return repeat, <-done
	}
	if repeat, err := take(7, nil); repeat || err != nil {
		t.Fatalf("got repeat %v, %v, want the first", repeat, err)
	}
	if repeat, err := take(8, mqtt.ErrQuota); repeat || !errors.Is(err, mqtt.ErrQuota) {
		t.Fatalf("got repeat %v, %v, want a refusal", repeat, err)
	}
	n.die()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	if repeat, err := take(7, nil); !repeat || err != nil {
		t.Fatalf("got repeat %v, %v, want a repeat", repeat, err)
	}
	if repeat, err := take(8, nil); repeat || err != nil {
		t.Fatalf("id of a refused publish: got repeat %v, %v, want it to be free", repeat, err)
	}
	ack(t, s, packet.PUBREL, 7)
	out.want(t, "PUBCOMP 7")
	n.die()
	s, _, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	if repeat, _ := take(7, nil); repeat {
		t.Fatal("got a repeat after PUBCOMP, want a new message")
	}
}

func TestSubscriptionsSurviveCrash(t *testing.T) {
	n := newNode(t, true, nil)
	s, _, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	sub := mqtt.Subscription{Filter: "$share/g/a/#", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 1, ID: 9}
	done, err := s.Subscribe([]mqtt.Subscription{sub, {Filter: "b"}, sub})
	if err != nil || len(done) != 3 || done[0].Existed || done[1].Existed || !done[2].Existed {
		t.Fatalf("got %v, %v", done, err)
	}
	if existed, err := s.Unsubscribe([]string{"b", "x"}); err != nil || fmt.Sprint(existed) != "[true false]" {
		t.Fatalf("got %v, %v", existed, err)
	}
	n.die()
	s = n.lookup("c")
	if got := n.router.subs[fakeKey{s, sub.Filter}]; got != sub || n.router.count() != 1 {
		t.Fatalf("got %+v of %d, want %+v", got, n.router.count(), sub)
	}
}

// A clean start leaves nothing, however much there was, and the leftovers of an interrupted one go too. [MQTT-3.1.2-4]
func TestCleanStartRemovesEverything(t *testing.T) {
	for _, dies := range []bool{false, true} {
		n := newNode(t, true, nil)
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
		subscribe(t, s, "t", 2)
		s.Detach(out, mqtt.DetachRequest{})
		for range 3*discardStep + 5 {
			n.sendLater("t", "m", 2)
		}
		n.mustSend("t", 2, "last")
		s, out, present := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour, Clean: true})
		if present {
			t.Fatal("got the old session")
		}
		if dies {
			n.die()
			if s = n.lookup("c"); s == nil {
				t.Fatal("got no session, want the new one")
			}
		}
		if info := s.info(); info.Queued != 0 || info.Subscriptions != 0 {
			t.Fatalf("got %+v, want an empty session", info)
		}
		eventually(t, "leftovers are removed", func() bool {
			return n.rows(batch.Queues)+n.rows(batch.Subscriptions)+n.rows(batch.Received) == 0
		})
		out.idle(t)
	}
}

// A clean session takes the place of a durable one on disk too.
func TestCleanSessionReplacesDurable(t *testing.T) {
	n := newNode(t, true, nil)
	n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	n.connect(mqtt.OpenRequest{ClientID: "c", Clean: true})
	n.die()
	if all, _ := n.Count(); all != 0 {
		t.Fatalf("got %d sessions, want 0", all)
	}
}

// The expiry clock goes on while the node is down.
func TestExpiryAcrossRestart(t *testing.T) {
	var shift time.Duration
	n := newNode(t, true, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(shift) } })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "short", Expiry: time.Minute})
	s.Detach(out, mqtt.DetachRequest{})
	n.connect(mqtt.OpenRequest{ClientID: "connected", Expiry: time.Minute})
	s, out, _ = n.connect(mqtt.OpenRequest{ClientID: "long", Expiry: hour})
	s.Detach(out, mqtt.DetachRequest{})
	s, out, _ = n.connect(mqtt.OpenRequest{ClientID: "ends", Expiry: hour})
	zero := time.Duration(0)
	s.Detach(out, mqtt.DetachRequest{Expiry: &zero})
	n.stop()
	shift = 2 * time.Minute
	n.start()
	eventually(t, "short expires", func() bool { return n.lookup("short") == nil })
	if n.lookup("long") == nil || n.lookup("connected") == nil || n.lookup("ends") != nil {
		t.Fatal("got the wrong sessions")
	}
	eventually(t, "two records are left", func() bool { return n.rows(batch.Sessions) == 2 })
}

// Wills survive the node. [MQTT-3.1.2-8]
// What came after a crash was not sent before it, also when the node dies again before the client is back.
func TestTwoCrashes(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.QueueQoS0 = true })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	n.mustSend("t", 1, "a")
	out.want(t, "PUBLISH a qos 1 id 2")
	n.die()
	n.mustSend("t", 1, "b")
	n.mustSend("t", 0, "c")
	n.die()
	_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	out.want(t, "PUBLISH a qos 1 id 2 dup", "PUBLISH b qos 1 id 3", "PUBLISH c qos 0 id 0")
}

func TestWillsAcrossCrash(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.WillGrace = time.Nanosecond })
	open := func(id string, delay time.Duration) {
		w := testWill(id)
		n.connect(mqtt.OpenRequest{ClientID: id, Expiry: hour, Will: w, WillDelay: delay})
	}
	open("at once", 0)
	open("delayed", hour)
	n.die()
	eventually(t, "the will is published", func() bool { return fmt.Sprint(n.router.published("will")) == "[at once]" })
	n.die()
	n.connect(mqtt.OpenRequest{ClientID: "delayed", Expiry: hour, Clean: true})
	if got := fmt.Sprint(n.router.published("will")); got != "[delayed]" {
		t.Fatalf("got %s, want the will that was not published before", got)
	}
}

// A connection that ends after Close leaves its session as connected, so that the will is published by the next start, once.
func TestDetachAfterClose(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.WillGrace = time.Nanosecond })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour, Will: testWill("gone")})
	n.Manager.Close()
	s.Detach(out, mqtt.DetachRequest{})
	if got := n.router.published("will"); len(got) != 0 {
		t.Errorf("got wills %q of a node that is closed, want none", got)
	}
	n.restart()
	eventually(t, "the will is published", func() bool { return fmt.Sprint(n.router.published("will")) == "[gone]" })
}

// Records that the store refused to delete are deleted by the next try.
func TestBinTriesAgain(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.AckDelay = hour })
	n.stop()
	disk := sim.NewDisk()
	n.disk = store.Config{Faults: &store.Faults{Log: waltest.Files{Disk: disk}}, MaxPendingBytes: 1} // one batch at a time
	n.start()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	n.mustSend("t", 1, "a", "b")
	out.want(t, "PUBLISH a qos 1 id 2", "PUBLISH b qos 1 id 3")
	ack(t, s, packet.PUBACK, 2, 3)
	release := disk.Hold()
	defer release()
	n.sendLater("t", "c", 1)
	n.bin.flush()
	release()
	eventually(t, "the store refuses", func() bool { n.bin.mu.Lock(); defer n.bin.mu.Unlock(); return n.bin.failed })
	if got := n.rows(batch.Queues); got != 3 {
		t.Fatalf("got %d records after the refusal, want 3", got)
	}
	if n.bin.drain(); n.rows(batch.Queues) != 1 {
		t.Errorf("got %d records after another try, want that of the last message", n.rows(batch.Queues))
	}
}

// One body for many sessions, gone with the last of them.
func TestBodiesAreShared(t *testing.T) {
	n := newNode(t, true, nil)
	var list []*Session
	var outs []*fakeOutlet
	for i := range 5 {
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: fmt.Sprint(i), Expiry: hour})
		subscribe(t, s, "t", 2)
		list, outs = append(list, s), append(outs, out)
	}
	m := &mqtt.Message{Topic: "t", Payload: []byte("x"), QoS: 2}
	if err := n.sendMessage(m); err != nil {
		t.Fatal(err)
	}
	for _, out := range outs {
		out.want(t, "PUBLISH x qos 2 id 2")
	}
	body := func() bool {
		b, err := n.cfg.Store.Body(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		return b != nil
	}
	ack(t, list[0], packet.PUBREC, 2)
	for _, s := range list[1:4] {
		ack(t, s, packet.PUBREC, 2)
	}
	if !body() {
		t.Fatal("got no body while one session needs it")
	}
	n.connect(mqtt.OpenRequest{ClientID: "4", Clean: true})
	eventually(t, "the body is gone", func() bool { return !body() })
}

func TestQueueQoS0(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.QueueQoS0 = true })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	n.mustSend("t", 0, "a", "b")
	n.restart()
	s, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	out.want(t, "PUBLISH a qos 0 id 0", "PUBLISH b qos 0 id 0")
	eventually(t, "records are removed", func() bool { return s.info().Queued == 0 && n.rows(batch.Queues) == 0 })
}
