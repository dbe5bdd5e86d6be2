package bridge

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// counter is a client that only counts, and keeps what is QoS 1.
type counter struct {
	testClient
	n atomic.Int64
}

func (c *counter) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	r.Count()
	n := c.n.Add(1)
	if d.QoS > 0 {
		b := r.Batch()
		b.PutRef(batch.Queues, fmt.Appendf(nil, "%016d", n), m.ID, nil, func(dst []byte) []byte { return mqtt.AppendMessage(dst, m) })
	}
}

// BenchmarkEdgeToCore carries 128-byte messages over a loopback connection until the core has acknowledged all.
func BenchmarkEdgeToCore(b *testing.B) {
	for _, qos := range []byte{0, 1} {
		b.Run(fmt.Sprintf("qos%d", qos), func(b *testing.B) {
			x := newNode(b, RoleCore, "x", nil)
			sub := new(counter)
			x.router.Subscribe(sub, mqtt.Subscription{Filter: "#", QoS: 1})
			a := newNode(b, RoleEdge, "a", func(c *Config) { c.MaxVolatileMessages = 1 << 20; c.MaxVolatileBytes = 1 << 30 })
			a.dial(x)
			a.wantState("x", "up")
			payload := make([]byte, 128)
			b.ReportAllocs()
			for n := 0; n < b.N; {
				writes := a.st.NewBatch()
				for range min(64, b.N-n) {
					r := mqtt.NewReceipt(writes, nil)
					a.router.Publish(&mqtt.Message{Topic: "plant/1/temperature", Payload: payload, QoS: qos}, r)
					r.Close()
					n++
				}
				a.st.Commit(writes)
			}
			for sub.n.Load() < int64(b.N) || a.backlog("x") > 0 {
				<-time.After(time.Millisecond)
			}
		})
	}
}
