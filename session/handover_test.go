package session

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/overflow"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

const team = "$share/team/t"

// join connects a member of the group.
func (n *node) join(id string, expiry time.Duration, qos byte) (*Session, *fakeOutlet) {
	n.t.Helper()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: id, Expiry: expiry})
	subscribe(n.t, s, team, qos)
	return s, out
}

// toGroup publishes through the group, to s, and waits until all of it is stable.
func (n *node) toGroup(s *Session, qos byte, payloads ...string) {
	n.t.Helper()
	b := n.newBatch()
	for _, p := range payloads {
		r := mqtt.NewReceipt(b, nil)
		m := &mqtt.Message{Topic: "t", Payload: []byte(p), QoS: qos, ID: n.router.nextID()}
		s.Deliver(m, mqtt.Delivery{QoS: qos, Group: team}, r)
		r.Close()
	}
	if err := n.commit(b); err != nil {
		n.t.Fatalf("publish %q: %v", payloads, err)
	}
}

// window gives a some of everything: a0 acknowledged, a1 and a2 in flight, b0 released, b1 in flight, and some that wait.
func (n *node) window(a *Session, out *fakeOutlet) {
	n.t.Helper()
	n.toGroup(a, 1, "a0", "a1", "a2")
	n.toGroup(a, 2, "b0", "b1", "b2")
	out.take(n.t, 5)
	ack(n.t, a, packet.PUBACK, 2)
	ack(n.t, a, packet.PUBREC, 5)
	out.want(n.t, "PUBLISH b2 qos 2 id 7", "PUBREL 5")
	n.toGroup(a, 2, "c2")
	n.toGroup(a, 1, "c1")
}

// What a member leaves when its session ends, however it ends, goes to another member in order; QoS 2 that had begun does
// not. [MQTT-4.8.2-5]
func TestHandOver(t *testing.T) {
	zero := time.Duration(0)
	for name, end := range map[string]func(n *node, a *Session, out *fakeOutlet){
		"clean start": func(n *node, _ *Session, _ *fakeOutlet) {
			n.connect(mqtt.OpenRequest{ClientID: "a", Expiry: hour, Clean: true})
		},
		"clean session in its place": func(n *node, _ *Session, _ *fakeOutlet) {
			n.connect(mqtt.OpenRequest{ClientID: "a", Clean: true})
		},
		"expiry 0 at disconnect": func(_ *node, a *Session, out *fakeOutlet) {
			a.Detach(out, mqtt.DetachRequest{Expiry: &zero})
		},
		"expiry": func(_ *node, a *Session, out *fakeOutlet) {
			short := 20 * time.Millisecond
			a.Detach(out, mqtt.DetachRequest{Expiry: &short})
		},
		"restart, then clean start": func(n *node, a *Session, out *fakeOutlet) {
			a.Detach(out, mqtt.DetachRequest{})
			n.restart()
			n.connect(mqtt.OpenRequest{ClientID: "a", Expiry: hour, Clean: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg := metrics.New()
			n := newNode(t, true, func(c *Config) { c.MaxInflight, c.Metrics, c.WillGrace = 5, reg, time.Nanosecond })
			a, out := n.join("a", hour, 2)
			b, outB := n.join("b", hour, 2)
			b.Detach(outB, mqtt.DetachRequest{})
			n.window(a, out)
			end(n, a, out)
			eventually(t, "leftovers are removed", func() bool { return n.lookup("b").info().Queued == 4 && n.rows(batch.Queues) == 4 })
			_, outB, _ = n.connect(mqtt.OpenRequest{ClientID: "b", Expiry: hour})
			outB.want(t, "PUBLISH a1 qos 1 id 2", "PUBLISH a2 qos 1 id 3", "PUBLISH c2 qos 2 id 4", "PUBLISH c1 qos 1 id 5")
			outB.idle(t)
			if handed, ended := reg.Counter("mangrove_session_handed_over_total").Get(), reg.Dropped("session-ended").Get(); handed != 4 || ended != 2 {
				t.Errorf("got %d handed over and %d dropped, want 4 and 2", handed, ended)
			}
			eventually(t, "what was known of the session is removed", func() bool { return n.rows(batch.Received) == 0 })
		})
	}
}

// Without another member what was left is dropped and counted.
func TestHandOverToNobody(t *testing.T) {
	reg := metrics.New()
	n := newNode(t, true, func(c *Config) { c.Metrics, c.WillGrace = reg, time.Nanosecond })
	a, _ := n.join("a", hour, 2)
	n.toGroup(a, 1, "a", "b")
	n.connect(mqtt.OpenRequest{ClientID: "a", Clean: true})
	eventually(t, "they are dropped", func() bool { return reg.Dropped("session-ended").Get() == 2 && n.rows(batch.Queues) == 0 })
}

// A session without a store, or with expiry 0, hands over what it has in memory, to durable members too.
func TestHandOverFromMemory(t *testing.T) {
	for _, durable := range []bool{false, true} {
		n := newNode(t, durable, func(c *Config) { c.MaxInflight = 5 })
		a, out := n.join("a", 0, 2)
		b, outB := n.join("b", hour, 2)
		b.Detach(outB, mqtt.DetachRequest{})
		n.window(a, out)
		a.Detach(out, mqtt.DetachRequest{})
		if durable {
			n.die()
		}
		_, outB, _ = n.connect(mqtt.OpenRequest{ClientID: "b", Expiry: hour})
		outB.want(t, "PUBLISH a1 qos 1 id 2", "PUBLISH a2 qos 1 id 3", "PUBLISH c2 qos 2 id 4", "PUBLISH c1 qos 1 id 5")
		outB.idle(t)
	}
}

// numbered is n messages.
func numbered(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// A node that dies in the middle of a hand-over goes on with it: nothing is lost or doubled, and the order stays. It stops in
// the middle because the other member has no more room. [promise P1]
func TestHandOverSurvivesCrash(t *testing.T) {
	want := numbered(discardStep + 300)
	n := newNode(t, true, func(c *Config) { c.MaxQueuedMessages, c.WhenFull.Default = len(want), overflow.Refuse })
	a, out := n.join("a", hour, 2)
	a.Detach(out, mqtt.DetachRequest{})
	b, outB := n.join("b", hour, 2)
	b.Detach(outB, mqtt.DetachRequest{})
	n.cfg.MaxQueuedMessages = len(want) + 500 // from the first restart on
	n.toGroup(b, 2, numbered(600)...)
	n.toGroup(a, 2, want...)
	n.connect(mqtt.OpenRequest{ClientID: "a", Clean: true})
	eventually(t, "the other one is full", func() bool { return b.info().Queued == len(want) })
	n.die()
	b = n.lookup("b")
	eventually(t, "there was room for more", func() bool { return b.info().Queued == len(want)+500 })
	n.die()
	b, outB, _ = n.connect(mqtt.OpenRequest{ClientID: "b", Expiry: hour, ReceiveMaximum: 1})
	var got []string
	for i := range 600 + len(want) {
		line := outB.take(t, 1)[0]
		var p string
		var qos, id int
		if _, err := fmt.Sscanf(line, "PUBLISH %s qos %d id %d", &p, &qos, &id); err != nil {
			t.Fatalf("got %q, want PUBLISH", line)
		}
		if got = append(got, p); i < 600 {
			got = got[:0]
		}
		ack(t, b, packet.PUBREC, uint16(id))
		outB.want(t, fmt.Sprint("PUBREL ", id))
		ack(t, b, packet.PUBCOMP, uint16(id))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %d messages, %q…; want %d, each once, in order", len(got), got[:5], len(want))
	}
	eventually(t, "leftovers are removed", func() bool { return n.rows(batch.Queues)+n.rows(batch.Received) == 0 })
	outB.idle(t)
}

// What was sent is remembered until the hand-over is done, also when a crash comes before its first step. The other messages of
// a clean session's predecessor wait while no member is there.
func TestHandOverRemembersWhatWasSent(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.WillGrace, c.MaxInflight = hour, 1 })
	a, out := n.join("a", hour, 2)
	n.toGroup(a, 2, "sent", "waits")
	out.want(t, "PUBLISH sent qos 2 id 2")
	n.connect(mqtt.OpenRequest{ClientID: "a", Clean: true})
	n.die()
	_, outB := n.join("b", 0, 2)
	outB.want(t, "PUBLISH waits qos 2 id 2")
	eventually(t, "leftovers are removed", func() bool { return n.rows(batch.Queues)+n.rows(batch.Received) == 0 })
	outB.idle(t)
}

// Messages do not wait for ever for a member with room.
func TestHandOverGivesUp(t *testing.T) {
	reg, later := metrics.New(), new(atomic.Int64)
	n := newNode(t, true, func(c *Config) {
		c.MaxQueuedMessages, c.WhenFull.Default, c.Metrics = 3, overflow.Refuse, reg
		c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	a, _ := n.join("a", hour, 1)
	b, out := n.join("b", hour, 1)
	b.Detach(out, mqtt.DetachRequest{})
	n.toGroup(a, 1, "1", "2", "3")
	n.toGroup(b, 1, "4", "5")
	n.connect(mqtt.OpenRequest{ClientID: "a", Clean: true})
	eventually(t, "one finds room", func() bool { return b.info().Queued == 3 })
	if got := reg.Dropped("queue-full").Get(); got != 0 {
		t.Fatalf("got %d drops, want none yet", got)
	}
	later.Store(int64(handOverPatience))
	n.timers.look.Ring()
	eventually(t, "the others are dropped", func() bool { return reg.Dropped("queue-full").Get() == 2 && n.rows(batch.Queues) == 3 })
}

// Messages that were stored by a version that knew of no groups stay with their session.
func TestQueueOfAnOlderVersion(t *testing.T) {
	reg := metrics.New()
	n := newNode(t, true, func(c *Config) { c.Metrics = reg })
	a, out := n.join("a", hour, 1)
	a.Detach(out, mqtt.DetachRequest{})
	n.join("b", hour, 1)
	m := &mqtt.Message{Topic: "t", Payload: []byte("old"), QoS: 1, ID: n.router.nextID()}
	writes := n.newBatch()
	record := []byte{1, 1, 200, 1} // version, QoS, size
	writes.PutRef(batch.Queues, queueKey(a.number, 1), m.ID, record, func(b []byte) []byte { return mqtt.AppendMessage(b, m) })
	if err := n.commit(writes); err != nil {
		t.Fatal(err)
	}
	n.restart()
	_, outB, _ := n.connect(mqtt.OpenRequest{ClientID: "b", Expiry: hour})
	_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "a", Expiry: hour})
	out.want(t, "PUBLISH old qos 1 id 2")
	n.connect(mqtt.OpenRequest{ClientID: "a", Clean: true})
	eventually(t, "it is dropped", func() bool { return n.rows(batch.Queues) == 0 && reg.Dropped("session-ended").Get() == 1 })
	outB.idle(t)
}

// Members come and go, durable ones and others, while publishers publish: whoever is picked just then, every message ends up
// with the one member that stays, once.
func TestHandOverBesidePublishers(t *testing.T) {
	const publishers, each, churners = 3, 200, 4
	n := newNode(t, true, func(c *Config) { c.MaxInflight = 20 })
	stays, out := n.join("stays", hour, 1)
	stays.Detach(out, mqtt.DetachRequest{})
	var publishing, churning sync.WaitGroup
	stop := make(chan struct{})
	for i := range publishers {
		publishing.Go(func() {
			for k := range each {
				b := n.newBatch()
				r := mqtt.NewReceipt(b, nil)
				m := &mqtt.Message{Topic: "t", Payload: fmt.Appendf(nil, "%d-%d", i, k), QoS: 1, ID: n.router.nextID()}
				n.router.HandOver(team, m, r)
				r.Close()
				if err := n.commit(b); err != nil || r.Taken() != 1 {
					t.Errorf("publish %s: got %d takers, %v; want one", m.Payload, r.Taken(), err)
				}
			}
		})
	}
	for i := range churners {
		churning.Go(func() {
			for k := 0; ; k++ {
				expiry := hour * time.Duration((i+k)%2)
				s, out := n.join(fmt.Sprint("member", i), expiry, 1)
				select {
				case <-stop:
					zero := time.Duration(0)
					s.Detach(out, mqtt.DetachRequest{Expiry: &zero})
					return
				default:
					if k%3 == 0 {
						s.Detach(out, mqtt.DetachRequest{})
					}
					n.connect(mqtt.OpenRequest{ClientID: s.ClientID(), Clean: true})
				}
			}
		})
	}
	publishing.Wait()
	close(stop)
	churning.Wait()
	eventually(t, "all has been handed over", func() bool { return stays.info().Queued == publishers*each })
	eventually(t, "leftovers are removed", func() bool { return n.rows(batch.Queues) == publishers*each })
	_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "stays", Expiry: hour, ReceiveMaximum: 20})
	seen := map[string]bool{}
	for range publishers * each {
		line := strings.Fields(out.take(t, 1)[0])
		if line[0] != "PUBLISH" || seen[line[1]] {
			t.Fatalf("got %q, want each message once", line)
		}
		seen[line[1]] = true
		id, err := strconv.ParseUint(line[5], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		ack(t, stays, packet.PUBACK, uint16(id))
	}
}

// A session that ends while its alarm waits for a worker is asked twice to remove what it left. One step at a time is under way all
// the same: nothing is handed over twice.
func TestHandOverBesideAnAlarm(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.Workers = 1 })
	x, _ := n.join("x", hour, 1)
	a, _ := n.join("a", hour, 2)
	b, out := n.join("b", hour, 2)
	b.Detach(out, mqtt.DetachRequest{})
	n.toGroup(a, 1, numbered(3*discardStep)...)
	gate := n.gates.enter("x")
	for _, s := range []*Session{x, a} { // the only worker waits for the gate of x
		s.lock()
		s.needLocked(jobDue)
		s.unlock()
	}
	n.connect(mqtt.OpenRequest{ClientID: "a", Clean: true})
	x.lock()
	x.ended = true // takes nothing
	x.unlock()
	gate.leave()
	eventually(t, "leftovers are removed", func() bool { return n.rows(batch.Queues) >= 3*discardStep && n.rows(batch.Received) == 0 })
	eventually(t, "all is at the other one", func() bool { return n.lookup("b").info().Queued == n.rows(batch.Queues) })
	if got := b.info().Queued; got != 3*discardStep {
		t.Errorf("got %d messages, want %d", got, 3*discardStep)
	}
}
