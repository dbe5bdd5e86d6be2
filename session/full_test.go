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
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// away makes a durable session that is not connected and has subscribed to everything.
func (n *node) away(t *testing.T) *Session {
	t.Helper()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "#", 1)
	s.Detach(out, mqtt.DetachRequest{})
	return s
}

// many publishes numbers, a hundred at a time.
func (n *node) many(from, to int) {
	n.t.Helper()
	for i := from; i < to; i++ {
		if i%100 == 99 {
			n.mustSend("t", 1, fmt.Sprint(i))
		} else {
			n.sendLater("t", fmt.Sprint(i), 1)
		}
	}
}

// calm returns when the queue has so many messages and nothing gives way any more.
func calm(t *testing.T, s *Session, messages int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages are queued", messages), func() bool {
		s.lock()
		defer s.unlock()
		tr := s.traffic
		return tr != nil && tr.out.count == messages && tr.writing == 0 && !tr.trims && tr.sweeping == nil && !tr.out.cutting
	})
}

// wantPayloads reads what the client is sent, and acknowledges it.
func wantPayloads(t *testing.T, s *Session, out *fakeOutlet, want ...string) {
	t.Helper()
	for _, payload := range want {
		line := out.take(t, 1)[0]
		if !strings.HasPrefix(line, "PUBLISH "+payload+" ") {
			t.Fatalf("got %q, want %s", line, payload)
		}
		var id uint16
		if _, err := fmt.Sscanf(line[strings.LastIndex(line, "id "):], "id %d", &id); err != nil {
			t.Fatal(err)
		}
		ack(t, s, packet.PUBACK, id)
	}
}

// The newest stay, whatever came in one batch, also while a client that acknowledges nothing is connected: what was sent
// does not give way. [promise P6]
func TestTheOldestGiveWay(t *testing.T) {
	const most, sent, messages = 200, 20, 3000
	reg := metrics.New()
	n := newNode(t, true, func(c *Config) { c.MaxQueuedMessages, c.WindowMessages, c.Metrics = most, 16, reg })
	s := n.away(t)
	n.many(0, messages)
	calm(t, s, most)
	_, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour, ReceiveMaximum: sent})
	first := out.take(t, sent)
	n.many(messages, 2*messages)
	calm(t, s, most)
	if got := reg.Dropped("queue-full").Get(); got != 2*messages-most {
		t.Errorf("got %d drops, want %d", got, 2*messages-most)
	}
	if !strings.HasPrefix(first[0], fmt.Sprintf("PUBLISH %d ", messages-most)) {
		t.Errorf("got %q first, want message %d", first[0], messages-most)
	}
	s.Detach(out, mqtt.DetachRequest{})
	s, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour, ReceiveMaximum: 1})
	var want []string
	for i := range sent {
		want = append(want, fmt.Sprint(messages-most+i))
	}
	for i := range most - sent {
		want = append(want, fmt.Sprint(2*messages-most+sent+i))
	}
	wantPayloads(t, s, out, want...)
}

// What has expired goes before anything is dropped or refused. [MQTT-3.3.2-5]
func TestExpiredGiveWayFirst(t *testing.T) {
	for _, policy := range []overflow.Policy{overflow.DropOldest, overflow.Refuse, overflow.DropNew} {
		const most = 100
		reg, later := metrics.New(), new(atomic.Int64)
		n := newNode(t, true, func(c *Config) {
			c.MaxQueuedMessages, c.WhenFull.Default, c.Metrics = most, policy, reg
			c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		})
		s := n.away(t)
		for i := range most {
			m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1}
			if i%2 == 1 {
				m.Expires = time.Now().Add(time.Minute)
			}
			if err := n.sendMessage(m); err != nil {
				t.Fatal(err)
			}
		}
		calm(t, s, most)
		later.Store(int64(2 * time.Minute))
		for i := range most / 2 {
			if err := n.send("t", fmt.Sprint(most+i), 1); err != nil {
				t.Fatalf("%s: %v while expired messages filled the queue", policy, err)
			}
		}
		calm(t, s, most)
		if full, expired := reg.Dropped("queue-full").Get(), reg.Dropped("expired").Get(); full != 0 || expired != most/2 {
			t.Errorf("%s: got %d dropped and %d expired, want 0 and %d", policy, full, expired, most/2)
		}
	}
}

// Where a topic's publishers are refused, what is queued of it does not give way to other topics, and those go on.
func TestKeptTopicsDoNotGiveWay(t *testing.T) {
	n := newNode(t, true, func(c *Config) {
		c.MaxQueuedMessages = 4
		c.WhenFull.Rules = []overflow.Rule{{Filter: "alarm", Policy: overflow.Refuse}}
	})
	s := n.away(t)
	n.mustSend("telemetry", 1, "old")
	n.mustSend("alarm", 1, "a", "b", "c")
	n.mustSend("telemetry", 1, "new", "newest")
	calm(t, s, 4)
	if err := n.send("alarm", "d", 1); !errors.Is(err, mqtt.ErrQuota) {
		t.Errorf("an alarm above the bound: got %v, want to be refused", err)
	}
	n.restart()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	wantPayloads(t, s, out, "a", "b", "c", "newest")
}

// What a link brings for a queue that refuses is parked in it, up to twice its bound; then it is dropped. Nothing is refused, so the
// link goes on.
func TestParking(t *testing.T) {
	reg := metrics.New()
	n := newNode(t, true, func(c *Config) { c.MaxQueuedMessages, c.WhenFull.Default, c.Metrics = 3, overflow.Refuse, reg })
	n.away(t)
	for i := range 8 {
		m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1, From: mqtt.Source{Scope: mqtt.ScopePeer, Name: "core"}}
		if err := n.sendMessage(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.send("t", "x", 1); !errors.Is(err, mqtt.ErrQuota) {
		t.Errorf("a client: got %v, want to be refused", err)
	}
	if got := reg.Dropped("parking-full").Get(); got != 2 {
		t.Errorf("got %d drops at the bound of parking, want 2", got)
	}
	if full := n.Full(5); len(full) != 1 || full[0].ClientID != "c" || full[0].Queued != 6 || full[0].Dropped != 2 || full[0].Refused != 1 {
		t.Errorf("got %+v, want the one queue that is full", full)
	}
	n.restart()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	wantPayloads(t, s, out, "0", "1", "2", "3", "4", "5")
	n.mustSend("t", 1, "again")
	wantPayloads(t, s, out, "again")
}

// The largest queues come first; those that are full are counted, and say since when.
func TestLargest(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.MaxQueuedMessages = 3 })
	for i, id := range []string{"a", "b", "c", "d"} {
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: id, Expiry: hour})
		subscribe(t, s, id, 1)
		s.Detach(out, mqtt.DetachRequest{})
		for range i {
			n.mustSend(id, 1, "m")
		}
	}
	var got []string
	for _, info := range n.Overview(2).Largest {
		got = append(got, fmt.Sprint(info.ClientID, info.Queued, info.FullSince.IsZero()))
	}
	if fmt.Sprint(got) != "[d3 true c2 true]" {
		t.Errorf("got %v", got)
	}
	n.mustSend("d", 1, "m")
	eventually(t, "it is noticed", func() bool { return len(n.Full(10)) == 1 })
	n.connect(mqtt.OpenRequest{ClientID: "d", Clean: true})
	if full := n.Full(10); len(full) != 0 || n.jammed.Load() != 0 {
		t.Errorf("got %+v of a session that has ended", full)
	}
	if n.rows(batch.Queues) > 6 {
		t.Errorf("got %d records", n.rows(batch.Queues))
	}
}
