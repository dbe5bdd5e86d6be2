package lane

import (
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// BenchmarkAddNextAck is one message through a queue with room, without the disk.
func BenchmarkAddNextAck(b *testing.B) {
	st := openStore(b, b.TempDir())
	q := load(b, testConfig(st, 1))
	q.Attach(b)
	m := &mqtt.Message{Topic: "bench/topic", Payload: make([]byte, 100), QoS: 1, ID: st.NextID()}
	var found []Entry
	now := time.Now()
	const many = 64
	pool := new(batch.Pool)
	for n := 0; n < b.N; n += many {
		writes := pool.Get()
		r := mqtt.NewReceipt(writes, nil)
		for range many {
			q.Add(m, 1, frame.ItemMessage, r)
		}
		r.Close()
		writes.Settle(nil) // as if it was stable
		found, _ = q.Next(b, found[:0], plenty, 1<<20, now)
		q.Ack(b, found[len(found)-1].Pos)
	}
}
