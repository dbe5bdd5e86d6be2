package wire

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"mangrove/internal/conformance/serve"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// history is what one subscriber got: the numbers in each topic's payloads, in their order.
type history struct {
	mu   sync.Mutex
	last map[string]int
	odd  []string
	more chan struct{} // has a token when something came since it was looked at
}

// take notes a message. A number that is not above the one before is an old one after a new one, or the same twice.
func (h *history) take(m *client.Message) {
	n, _ := strconv.Atoi(string(m.Payload))
	h.mu.Lock()
	defer h.mu.Unlock()
	if before, ok := h.last[m.Topic]; ok && n <= before {
		h.odd = append(h.odd, fmt.Sprintf("%s: %d (RETAIN %t) after %d", m.Topic, n, m.Retain, before))
	}
	h.last[m.Topic] = n
	select {
	case h.more <- struct{}{}:
	default:
	}
}

func (h *history) has(want map[string]int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, n := range want {
		if h.last[name] != n {
			return false
		}
	}
	return true
}

// Who subscribes while retained messages are being replaced gets each at most once, none that is older than what it got before,
// and ends with what is retained, at any QoS. [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-3.3.1-5] [MQTT-3.3.1-12]
func TestRetainedBesideItsReplacement(t *testing.T) {
	const topics, rounds = 2000, 3
	s := serve.Start(t, func(c *broker.Config) { c.Listeners = []broker.ListenerConfig{{Addr: "127.0.0.1:0"}} })
	dial := func(change func(*client.Config)) *client.Client {
		cfg := client.Config{Addr: s.Broker.Addrs()[0], Clean: true}
		if change != nil {
			change(&cfg)
		}
		c, err := client.Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Disconnect(context.Background()) })
		return c
	}
	pub := dial(nil)
	want := map[string]int{}
	replace := func(n int, at func(i int)) {
		var acked sync.WaitGroup
		for i := range topics {
			m := &client.Message{Topic: fmt.Sprint("r/", i), Payload: strconv.AppendInt(nil, int64(n), 10), QoS: byte(i % 3), Retain: true}
			acked.Add(1)
			if err := pub.PublishAsync(m, func(packet.ReasonCode, error) { acked.Done() }); err != nil {
				t.Error(err)
			}
			want[m.Topic] = n
			at(i)
		}
		acked.Wait()
	}
	replace(0, func(int) {})
	for n := 1; n <= rounds; n++ {
		var all []*history
		var begin []chan struct{} // closed when the publisher is so far that a subscriber is to come
		var subscribed sync.WaitGroup
		for i := range 6 {
			h, now := &history{last: map[string]int{}, more: make(chan struct{}, 1)}, make(chan struct{})
			all, begin = append(all, h), append(begin, now)
			c := dial(func(c *client.Config) {
				c.OnMessage = h.take
				if i >= 3 { // also where a session is on disk
					c.ClientID, c.SessionExpiry = fmt.Sprint("s", n, "-", i), time.Minute
				}
			})
			subscribed.Go(func() {
				<-now
				if _, err := c.Subscribe(t.Context(), packet.SubscribeFilter{Filter: "r/#", QoS: byte(i % 3)}); err != nil {
					t.Error(err)
				}
			})
		}
		replace(n, func(i int) {
			if i%(topics/8) == 0 && len(begin) > 0 {
				close(begin[0])
				begin = begin[1:]
			}
		})
		subscribed.Wait()
		for i, h := range all {
			for end := time.After(20 * time.Second); !h.has(want); {
				select {
				case <-h.more:
				case <-end:
					t.Fatalf("round %d, subscriber %d: not everything arrived", n, i)
				}
			}
			if h.mu.Lock(); len(h.odd) > 0 {
				t.Errorf("round %d, subscriber %d of QoS %d: %d times, such as %s", n, i, i%3, len(h.odd), h.odd[0])
			}
			h.mu.Unlock()
		}
	}
}
