package session

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// wantAsleep checks whether the client's session holds traffic.
func (n *node) wantAsleep(why string, want bool) {
	n.t.Helper()
	s := n.lookup("c")
	s.lock()
	defer s.unlock()
	if got := s.traffic == nil; got != want {
		n.t.Fatalf("%s: got asleep %v, want %v (%+v)", why, got, want, s.traffic)
	}
}

// bothWays runs fn with a node that has a store and with one that has none.
func bothWays(t *testing.T, fn func(t *testing.T, n *node)) {
	for name, durable := range map[string]bool{"durable": true, "in memory": false} {
		t.Run(name, func(t *testing.T) { fn(t, newNode(t, durable, nil)) })
	}
}

// A session sleeps when its client is away and it is owed nothing, and only then. Packet identifiers go on over that, and DUP is for what
// was sent before. [MQTT-3.3.1-1] [MQTT-2.2.1-4]
func TestSleep(t *testing.T) {
	bothWays(t, func(t *testing.T, n *node) {
		c := mqtt.OpenRequest{ClientID: "c", Expiry: hour}
		s, out, _ := n.connect(c)
		n.wantAsleep("connected", false)
		subscribe(t, s, "t", 1)
		s.Detach(out, mqtt.DetachRequest{})
		n.wantAsleep("nothing was sent", true)

		_, out, _ = n.connect(c)
		n.mustSend("t", 1, "a", "b")
		out.want(t, "PUBLISH a qos 1 id 2", "PUBLISH b qos 1 id 3")
		ack(t, s, packet.PUBACK, 2)
		s.Detach(out, mqtt.DetachRequest{})
		n.wantAsleep("one is not acknowledged", false)
		_, out, _ = n.connect(c)
		out.want(t, "PUBLISH b qos 1 id 3 dup")
		ack(t, s, packet.PUBACK, 3)
		s.Detach(out, mqtt.DetachRequest{})
		n.wantAsleep("all are acknowledged", true)

		n.mustSend("t", 0, "lost")
		n.wantAsleep("QoS 0 for nobody", true)
		n.mustSend("t", 1, "c")
		n.wantAsleep("one is queued", false)
		_, out, _ = n.connect(c)
		out.want(t, "PUBLISH c qos 1 id 4")
		ack(t, s, packet.PUBACK, 2, 3) // of before: they acknowledge nothing
		if got := s.info(); got.Queued != 1 || got.InFlight != 1 {
			t.Fatalf("got %+v, want one message in flight", got)
		}
		ack(t, s, packet.PUBACK, 4)
		s.Detach(out, mqtt.DetachRequest{})
		n.wantAsleep("the queue has drained", true)
	})
}

// QoS 2 to the client keeps its session awake until PUBCOMP. [MQTT-4.3.3-4] [MQTT-4.4.0-1]
func TestSleepAfterPubcomp(t *testing.T) {
	bothWays(t, func(t *testing.T, n *node) {
		c := mqtt.OpenRequest{ClientID: "c", Expiry: hour}
		s, out, _ := n.connect(c)
		subscribe(t, s, "t", 2)
		n.mustSend("t", 2, "a")
		out.want(t, "PUBLISH a qos 2 id 2")
		ack(t, s, packet.PUBREC, 2)
		out.want(t, "PUBREL 2")
		s.Detach(out, mqtt.DetachRequest{})
		n.wantAsleep("between PUBREC and PUBCOMP", false)
		_, out, _ = n.connect(c)
		out.want(t, "PUBREL 2")
		ack(t, s, packet.PUBCOMP, 2)
		s.Detach(out, mqtt.DetachRequest{})
		n.wantAsleep("after PUBCOMP", true)
		_, out, _ = n.connect(c)
		ack(t, s, packet.PUBREC, 2)
		out.want(t, "PUBREL 2 reason 0x92")
		n.mustSend("t", 2, "b")
		out.want(t, "PUBLISH b qos 2 id 3")
	})
}

// QoS 2 from the client keeps its session awake from PUBLISH to PUBCOMP. [MQTT-4.3.3-10] [MQTT-4.3.3-12]
func TestSleepAfterPubrel(t *testing.T) {
	bothWays(t, func(t *testing.T, n *node) {
		c := mqtt.OpenRequest{ClientID: "c", Expiry: hour}
		s, out, _ := n.connect(c)
		take := func(refuse error) (repeat bool, settle func() error) {
			b, done := n.newBatch(), make(chan error, 1)
			r := mqtt.NewReceipt(b, func(err error) { done <- err })
			repeat = s.Take(7, r)
			return repeat, func() error {
				if refuse != nil {
					r.Refuse(refuse)
				}
				r.Close()
				n.commitLater(b)
				return <-done
			}
		}
		_, settle := take(nil)
		s.Detach(out, mqtt.DetachRequest{})
		n.wantAsleep("whether it is kept is not known", false)
		if err := settle(); err != nil {
			t.Fatal(err)
		}
		n.wantAsleep("before PUBREL", false)
		_, out, _ = n.connect(c)
		repeat, settle := take(nil)
		if err := settle(); err != nil || !repeat {
			t.Fatalf("got repeat %v, %v, want a repeat", repeat, err)
		}
		ack(t, s, packet.PUBREL, 7)
		out.want(t, "PUBCOMP 7")
		s.Detach(out, mqtt.DetachRequest{})
		n.wantAsleep("after PUBCOMP", true)
		repeat, settle = take(mqtt.ErrQuota) // its connection is gone already
		n.wantAsleep("another one", false)
		if err := settle(); !errors.Is(err, mqtt.ErrQuota) || repeat {
			t.Fatalf("got repeat %v, %v, want a new one that is refused", repeat, err)
		}
		n.wantAsleep("it was refused", true)
	})
}

// After a restart a session is awake when the store has something for it, and packet identifiers go on. [MQTT-4.1.0-1]
func TestSleepAcrossRestart(t *testing.T) {
	n := newNode(t, true, nil)
	c := mqtt.OpenRequest{ClientID: "c", Expiry: hour}
	s, out, _ := n.connect(c)
	subscribe(t, s, "t", 1)
	n.mustSend("t", 1, "a")
	out.want(t, "PUBLISH a qos 1 id 2")
	ack(t, s, packet.PUBACK, 2)
	s.Detach(out, mqtt.DetachRequest{})
	n.restart()
	n.wantAsleep("with nothing in the store", true)
	n.mustSend("t", 1, "b")
	n.restart()
	n.wantAsleep("with a queue", false)
	s, out, _ = n.connect(c)
	out.want(t, "PUBLISH b qos 1 id 3")
	ack(t, s, packet.PUBACK, 3)
	n.restart()
	n.wantAsleep("the connection ended with the node", true)

	s, _, _ = n.connect(c)
	b := n.newBatch()
	r := mqtt.NewReceipt(b, nil)
	s.Take(7, r)
	r.Close()
	if err := n.commit(b); err != nil {
		t.Fatal(err)
	}
	n.restart()
	n.wantAsleep("with a packet id of the client", false)
}

// What a detached session's record says of its queue counts after a restart: a message that was sent for certain is completed
// though it has expired, one that was not sent is dropped.
func TestSentIsCertainAcrossRestart(t *testing.T) {
	var shift time.Duration
	n := newNode(t, true, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(shift) } })
	c := mqtt.OpenRequest{ClientID: "c", Expiry: hour, ReceiveMaximum: 1}
	s, out, _ := n.connect(c)
	subscribe(t, s, "t", 1)
	for _, p := range []string{"sent", "waits"} {
		m := &mqtt.Message{Topic: "t", Payload: []byte(p), QoS: 1, Expires: n.cfg.Now().Add(time.Minute)}
		if err := n.sendMessage(m); err != nil {
			t.Fatal(err)
		}
	}
	out.want(t, "PUBLISH sent qos 1 id 2")
	s.Detach(out, mqtt.DetachRequest{})
	n.stop()
	shift = 2 * time.Minute
	n.start()
	s, out, _ = n.connect(c)
	out.want(t, "PUBLISH sent qos 1 id 2 dup")
	ack(t, s, packet.PUBACK, 2)
	eventually(t, "the other one is dropped", func() bool { return s.info().Queued == 0 })
	out.idle(t)
}

// What is dropped by its expiry, and a message whose batch is refused, let the session sleep again.
func TestSleepWithoutDelivery(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.SweepEvery = time.Millisecond })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	asleep := func() bool { s.lock(); defer s.unlock(); return s.traffic == nil }
	m := &mqtt.Message{Topic: "t", QoS: 1, Expires: time.Now().Add(20 * time.Millisecond)}
	if err := n.sendMessage(m); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has expired", func() bool { return asleep() && n.rows(batch.Queues) == 0 })

	r := mqtt.NewReceipt(n.newBatch(), nil)
	s.Deliver(&mqtt.Message{Topic: "t", QoS: 1, ID: n.router.nextID()}, mqtt.Delivery{QoS: 1}, r)
	n.wantAsleep("its batch is under way", false)
	s.Committed(kindQueued|s.traffic.out.next-1, store.ErrFull)
	n.wantAsleep("its batch was refused", true)
}

// A queue is looked through SweepEvery after it began, not sooner: else one that keeps running dry would be for each message.
func TestSweepOfANewQueue(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.SweepEvery = hour })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: -1})
	subscribe(t, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	before := n.clock()
	if err := n.sendMessage(&mqtt.Message{Topic: "t", QoS: 1, Expires: time.Now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	n.timers.mu.Lock()
	defer n.timers.mu.Unlock()
	if at := time.Duration(s.alarm.At); !s.alarm.Waiting() || at < before+hour || at > n.clock()+hour {
		t.Errorf("got an alarm %v after the message came, want %v", at-before, hour)
	}
}

// What was replaced while it was looked up is not sent: what replaced it is, or was.
func TestReplayOfWhatWasReplaced(t *testing.T) {
	bothWays(t, func(t *testing.T, n *node) {
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
		for qos := range byte(2) {
			for i, held := range []mqtt.Retention{current(true), current(false), nil} {
				m := &mqtt.Message{ID: uint64(i) + 1, Topic: "t", Payload: fmt.Append(nil, i), QoS: qos}
				b := n.newBatch()
				r := mqtt.NewReceipt(b, nil)
				s.Replay(m, mqtt.Delivery{QoS: qos, Retain: true}, held, r)
				r.Close()
				if err := n.commit(b); err != nil {
					t.Fatal(err)
				}
			}
		}
		out.want(t, "PUBLISH 0 qos 0 id 0 retain", "PUBLISH 2 qos 0 id 0 retain", "PUBLISH 0 qos 1 id 2 retain", "PUBLISH 2 qos 1 id 3 retain")
	})
}

// current is a mqtt.Retention that does not change.
type current bool

func (c current) Current() bool { return bool(c) }
