package session

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"mangrove/internal/batch"
	"mangrove/internal/due"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// nullOutlet takes everything and acknowledges nothing.
type nullOutlet struct{ last uint16 }

func (o *nullOutlet) Publish(_ *mqtt.Message, _ mqtt.Delivery, id uint16, _ bool) mqtt.SendResult {
	o.last = id
	return mqtt.Sent
}
func (o *nullOutlet) Ack(packet.Type, uint16, packet.ReasonCode) {}
func (o *nullOutlet) Close(packet.ReasonCode)                    {}

func openNull(b testing.TB, n *node) (*Session, *nullOutlet) {
	out := new(nullOutlet)
	s, _, err := n.Open(mqtt.OpenRequest{ClientID: "c", ReceiveMaximum: 65535}, out)
	if err != nil {
		b.Fatal(err)
	}
	s.Resume()
	return s.(*Session), out
}

func BenchmarkDeliverQoS0(b *testing.B) {
	s, _ := openNull(b, newNode(b, false, nil))
	m := &mqtt.Message{Topic: "a/b", Payload: make([]byte, 64), ID: 1}
	r := mqtt.NewReceipt(new(batch.Batch), nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Deliver(m, mqtt.Delivery{}, r)
	}
}

func BenchmarkDeliverAckQoS1(b *testing.B) {
	s, out := openNull(b, newNode(b, false, nil))
	m := &mqtt.Message{Topic: "a/b", Payload: make([]byte, 64), ID: 1, QoS: 1}
	r := mqtt.NewReceipt(new(batch.Batch), nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Deliver(m, mqtt.Delivery{QoS: 1}, r)
		if err := s.Acked(packet.PUBACK, out.last, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeliverAckQoS2(b *testing.B) {
	s, out := openNull(b, newNode(b, false, nil))
	m := &mqtt.Message{Topic: "a/b", Payload: make([]byte, 64), ID: 1, QoS: 2}
	r := mqtt.NewReceipt(new(batch.Batch), nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Deliver(m, mqtt.Delivery{QoS: 2}, r)
		if s.Acked(packet.PUBREC, out.last, 0) != nil || s.Acked(packet.PUBCOMP, out.last, 0) != nil {
			b.Fatal("refused")
		}
	}
}

// BenchmarkDeliverDurable queues for a client that is away; the commit of 100 messages at a time is part of it.
func BenchmarkDeliverDurable(b *testing.B) {
	n := newNode(b, true, func(c *Config) { c.MaxQueuedMessages = 1 << 30; c.MaxQueuedBytes = 1 << 50 })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	s.Detach(out, mqtt.DetachRequest{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		writes := n.newBatch()
		for range 100 {
			m := &mqtt.Message{Topic: "a/b", Payload: make([]byte, 64), QoS: 1, ID: n.cfg.Store.NextID()}
			r := mqtt.NewReceipt(writes, nil)
			s.Deliver(m, mqtt.Delivery{QoS: 1}, r)
			r.Close()
		}
		if err := n.cfg.Store.CommitWait(writes); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/message")
}

// QoS 0 and 1 to a connected client allocate nothing per message.
func TestDeliverDoesNotAllocate(t *testing.T) {
	s, out := openNull(t, newNode(t, false, nil))
	m := &mqtt.Message{Topic: "a/b", Payload: make([]byte, 64), ID: 1, QoS: 1}
	r := mqtt.NewReceipt(new(batch.Batch), nil)
	for qos := range byte(2) {
		allocs := testing.AllocsPerRun(1000, func() {
			s.Deliver(m, mqtt.Delivery{QoS: qos}, r)
			if qos > 0 && s.Acked(packet.PUBACK, out.last, 0) != nil {
				t.Fatal("refused")
			}
		})
		if allocs > 0 {
			t.Errorf("QoS %d: got %.1f allocations per message, want 0", qos, allocs)
		}
	}
}

// A sleeping durable session with one subscription is small: the struct, a name and a filter of 15 and 24 bytes, its places among the
// sessions and the alarms. [promise P6]
func TestSleepingSessionIsSmall(t *testing.T) {
	const sessions, most, mostStruct = 2000, 256, 128
	if size := unsafe.Sizeof(Session{}); size > mostStruct {
		t.Errorf("got a struct of %d bytes, want at most %d", size, mostStruct)
	}
	n := newNode(t, true, nil)
	writes := n.newBatch()
	for i := range sessions {
		id := fmt.Sprintf("device-%08d", i)
		rec := record{number: uint64(i + 1), expiry: hour, detached: n.stored.Stamp(time.Now()), sent: uint64(i), maybeSent: uint64(i / 2)}
		writes.Put(batch.Sessions, []byte(id), rec.append(nil))
		writes.Put(batch.Subscriptions, filterKey(rec.number, "commands/"+id), appendSubscription(nil, mqtt.Subscription{QoS: 1}))
	}
	if err := n.commit(writes); err != nil {
		t.Fatal(err)
	}
	n.stop()
	n.start()
	n.router.subs = nil // the router's memory is not counted here
	with := heapBytes()
	n.Manager.mu.Lock()
	n.Manager.sessions = nil
	n.Manager.mu.Unlock()
	n.timers.mu.Lock()
	alarms := n.timers.heap.Len()
	n.timers.heap = due.Heap[*Session]{}
	n.timers.mu.Unlock()
	without := heapBytes()
	each := int(with-without) / sessions
	t.Logf("%d bytes each, %d of them the struct", each, unsafe.Sizeof(Session{}))
	if each > most || alarms != sessions {
		t.Errorf("got %d bytes and %d alarms, want at most %d and %d", each, alarms, most, sessions)
	}
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// ackOutlet tells the packet ids it was sent.
type ackOutlet struct {
	nullOutlet
	ids chan uint16
}

func (o *ackOutlet) Publish(_ *mqtt.Message, _ mqtt.Delivery, id uint16, _ bool) mqtt.SendResult {
	o.ids <- id
	return mqtt.Sent
}

// BenchmarkDrain sends a backlog from disk to a client that acknowledges at once.
func BenchmarkDrain(b *testing.B) {
	n := newNode(b, true, func(c *Config) { c.MaxQueuedMessages = 1 << 30; c.MaxQueuedBytes = 1 << 50 })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(b, s, "t", 1)
	s.Detach(out, mqtt.DetachRequest{})
	for range b.N {
		n.sendLater("t", string(make([]byte, 64)), 1)
	}
	n.mustSend("t", 1, "last")
	b.ResetTimer()
	b.ReportAllocs()
	acks := &ackOutlet{ids: make(chan uint16, 1000)}
	if _, _, err := n.Open(mqtt.OpenRequest{ClientID: "c", Expiry: hour, ReceiveMaximum: 100}, acks); err != nil {
		b.Fatal(err)
	}
	s.Resume()
	for range b.N {
		ack(b, s, packet.PUBACK, <-acks.ids)
	}
}
