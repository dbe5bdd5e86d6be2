package broker

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/mqtttest"
	"mangrove/mqtt/packet"
)

// durable is a taker that writes each message to the store.
type durable struct{ mqtttest.Keeper }

func (k *durable) Deliver(m *mqtt.Message, _ mqtt.Delivery, r *mqtt.Receipt) {
	r.Count()
	k.Got = append(k.Got, m.Kept())
	r.Batch().Put(batch.Queues, fmt.Append(nil, m.ID), m.Payload)
}

// The publishes of one read are committed together, and acknowledged when they are stable.
func TestOneCommitForAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counters := metrics.New()
		db, err := store.Open(store.Config{Dir: t.TempDir(), Metrics: counters})
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, func(c *Config) { c.Store = db })
		k := &durable{}
		b.router.Subscribe(k, mqtt.Subscription{Filter: "k", QoS: 2})
		p := b.client(packet.V5, "p")
		var many []packet.Packet
		for i := range 100 {
			many = append(many, pubQ(1+byte(i%2), uint16(i+1), "k", "x"))
		}
		many = append(many, pub("k", "written by its taker all the same"))
		before := counters.Counter("mangrove_store_batches_total").Get()
		p.Write(many...)
		for i := range 100 {
			kind := []packet.Type{packet.PUBACK, packet.PUBREC}[i%2]
			p.Want("stable", ack(kind, uint16(i+1), 0))
		}
		if got := counters.Counter("mangrove_store_batches_total").Get() - before; got != 1 {
			t.Errorf("got %d batches, want 1", got)
		}
		for _, m := range k.Got {
			if v, err := db.Get(batch.Queues, fmt.Append(nil, m.ID)); err != nil || v == nil {
				t.Errorf("message %d: got %v, %v; want it in the store", m.ID, v, err)
			}
		}
		if err := b.srv.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// When the store refuses a batch, nothing of it is acknowledged as kept. [promise P1]
func TestRefusedCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(store.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, func(c *Config) { c.Store = db })
		b.router.Subscribe(&durable{}, mqtt.Subscription{Filter: "k", QoS: 2})
		five, three := b.client(packet.V5, "5"), b.client(packet.V311, "3")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		five.Write(pubQ(1, 1, "k", "x"), pubQ(1, 2, "nobody", "x"))
		five.Want("refused", ack(packet.PUBACK, 1, packet.UnspecifiedError))
		five.Want("needs no store", ack(packet.PUBACK, 2, packet.NoMatchingSubscribers))
		three.Write(pubQ(1, 1, "k", "x"))
		three.WantClosed("3.1.1 knows no refusal")
		if err := b.srv.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// onStore runs fn against a server with a real store, in a bubble.
func onStore(t *testing.T, change func(*Config), fn func(b *bench, db *store.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(store.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, func(c *Config) {
			c.Store = db
			if change != nil {
				change(c)
			}
		})
		defer func() {
			if err := b.srv.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		fn(b, db)
	})
}

// Before the reader of a 3.x client waits for room it commits what the step has gathered: nobody else would, and the
// acknowledgements that make room wait for that batch.
func TestFullReaderCommitsItsStep(t *testing.T) {
	onStore(t, func(c *Config) { c.ReceiveMaximum = 2 }, func(b *bench, _ *store.Store) {
		b.router.Subscribe(&durable{}, mqtt.Subscription{Filter: "k", QoS: 2})
		p := b.client(packet.V311, "p")
		var many []packet.Packet
		for id := range uint16(7) { // in one read
			many = append(many, pubQ(1, id+1, "k", "x"))
		}
		p.Write(many...)
		for id := range uint16(7) {
			p.Want("stable", ack(packet.PUBACK, id+1, 0))
		}
	})
}

// held is a batch.Waiter that keeps the store's writer, and so everything that is committed after it, waiting.
type held chan struct{}

func (h held) Committed(uint64, error) { <-h }

// While more than slowBacklog waits for the disk, a publisher's reader waits until its own batch is stable.
func TestBacklogSlowsReaders(t *testing.T) {
	onStore(t, nil, func(b *bench, db *store.Store) {
		b.router.Subscribe(&durable{}, mqtt.Subscription{Filter: "k", QoS: 2})
		p := b.client(packet.V311, "p")
		gate := make(held)
		open := sync.OnceFunc(func() { close(gate) })
		defer open()
		first := db.NewBatch()
		first.Put(batch.Queues, []byte("first"), nil)
		first.Notify(gate, 0)
		db.Commit(first)
		time.Sleep(time.Second) // the writer has it
		p.Write(pubQ(1, 1, "k", "x"), &packet.Pingreq{})
		p.Want("little waits", &packet.Pingresp{})
		p.Write(&packet.Pingreq{})
		p.Want("the reader goes on", &packet.Pingresp{})

		for i := range byte(64) {
			much := db.NewBatch()
			much.Put(batch.Queues, []byte{i}, make([]byte, slowBacklog/64))
			db.Commit(much)
		}
		p.Write(pubQ(1, 2, "k", "x"))
		go p.Write(&packet.Pingreq{}) // waits until the reader reads, as a pipe does
		p.WantIdle("the reader waits for the disk")
		open()
		p.Want("stable", ack(packet.PUBACK, 1, 0))
		p.Want("stable", ack(packet.PUBACK, 2, 0))
		p.Want("the reader goes on", &packet.Pingresp{})
	})
}
