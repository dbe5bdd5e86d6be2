package session

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/overflow"
	"mangrove/mqtt"
)

// busy makes a session in memory whose client takes one message at a time, and has not acknowledged the first.
func (n *node) busy(t *testing.T) *Session {
	t.Helper()
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "m", Clean: true, ReceiveMaximum: 1})
	subscribe(t, s, "#", 1)
	n.mustSend("t", 1, "in flight")
	out.want(t, "PUBLISH in flight qos 1 id 2")
	return s
}

// What has expired leaves the memory, though the client asks for nothing. [MQTT-3.3.2-5]
func TestSweepOfASessionInMemory(t *testing.T) {
	reg := metrics.New()
	n := newNode(t, true, func(c *Config) { c.SweepEvery, c.Metrics = time.Millisecond, reg })
	s := n.busy(t)
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
	eventually(t, "expired messages are gone", func() bool { return s.info().Queued == 14 })
	if got := reg.Dropped("expired").Get(); got != 7 {
		t.Errorf("got %d drops, want 7", got)
	}
	s.lock()
	defer s.unlock()
	var left []string
	for i := 1; i < s.traffic.out.win.len(); i++ { // behind the one in flight
		left = append(left, string(s.traffic.out.win.at(i).msg.Payload))
	}
	if got := fmt.Sprint(left); got != "[1 2 4 5 7 8 10 11 13 14 16 17 19]" {
		t.Errorf("got %s left", got)
	}
}

// Before a full queue in memory drops or refuses, what has expired goes.
func TestExpiredInMemoryGiveWayFirst(t *testing.T) {
	for _, policy := range []overflow.Policy{overflow.DropOldest, overflow.Refuse, overflow.DropNew} {
		const most = 100
		reg, later := metrics.New(), new(atomic.Int64)
		n := newNode(t, true, func(c *Config) {
			c.MaxQueuedMessages, c.WhenFull.Default, c.Metrics = most, policy, reg
			c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		})
		s := n.busy(t)
		for i := 1; i < most; i++ {
			m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1}
			if i%2 == 1 {
				m.Expires = time.Now().Add(time.Minute)
			}
			if err := n.sendMessage(m); err != nil {
				t.Fatal(err)
			}
		}
		later.Store(int64(2 * time.Minute))
		for i := range most / 2 {
			if err := n.send("t", fmt.Sprint(most+i), 1); err != nil {
				t.Fatalf("%s: %v while expired messages filled the queue", policy, err)
			}
		}
		full, expired, queued := reg.Dropped("queue-full").Get(), reg.Dropped("expired").Get(), s.info().Queued
		if full != 0 || expired != most/2 || queued != most {
			t.Errorf("%s: got %d dropped, %d expired, %d queued; want 0, %d, %d", policy, full, expired, queued, most/2, most)
		}
	}
}
