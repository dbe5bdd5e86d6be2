package router

import (
	"fmt"
	"runtime"
	"testing"

	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// sink takes messages and forgets them.
type sink struct{ id string }

func (s *sink) Deliver(*mqtt.Message, mqtt.Delivery, *mqtt.Receipt) {}
func (s *sink) ClientID() string                                    { return s.id }
func (s *sink) Scope() mqtt.Scope                                   { return mqtt.ScopeClient }
func (s *sink) Online() bool                                        { return true }

// BenchmarkRouterFanOut is one Publish to many, as from a link: without the publisher's cache, and with it.
func BenchmarkRouterFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		r := testRouter()
		for i := range n {
			r.Subscribe(&sink{fmt.Sprint(i)}, mqtt.Subscription{Filter: "a/+", QoS: 1})
		}
		rc := mqtt.NewReceipt(new(batch.Batch), nil)
		b.Run(fmt.Sprint("match/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Publish(&mqtt.Message{Topic: "a/b"}, rc)
			}
		})
		b.Run(fmt.Sprint("cached/", n), func(b *testing.B) {
			var cache Cache
			b.ReportAllocs()
			for b.Loop() {
				e, err := cache.Get(r, "p", []byte("a/b"), 0)
				if err != nil {
					b.Fatal(err)
				}
				r.PublishTo(e, &mqtt.Message{Topic: e.Name}, rc)
			}
		})
	}
}

// BenchmarkSubscribe is one Subscribe and one Unsubscribe at a router that holds a million subscriptions of a
// hundred clients. What they take of the memory is reported too.
func BenchmarkSubscribe(b *testing.B) {
	const held, clients = 1_000_000, 100
	r, before := testRouter(), heap()
	for i := range clients {
		s := &sink{fmt.Sprint(i)}
		for j := range held / clients {
			r.Subscribe(s, mqtt.Subscription{Filter: fmt.Sprintf("bench/site/%d/+/%d", j%1000, j/1000*clients+i)})
		}
	}
	each := float64(heap()-before) / held
	own, filters := &sink{"own"}, make([]string, 1000)
	for i := range filters {
		filters[i] = fmt.Sprintf("bench/site/%d/+/own", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Subscribe(own, mqtt.Subscription{Filter: filters[i%1000]})
		r.Unsubscribe(own, filters[i%1000])
	}
	b.ReportMetric(each, "B/held")
}

// BenchmarkSubscribePopular is one more subscriber of a filter that a hundred thousand have, and one less.
func BenchmarkSubscribePopular(b *testing.B) {
	r, own, sub := testRouter(), &sink{"own"}, mqtt.Subscription{Filter: "all"}
	for i := range 100_000 {
		r.Subscribe(&sink{fmt.Sprint(i)}, sub)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Subscribe(own, sub)
		r.Unsubscribe(own, sub.Filter)
	}
}

// heap is the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
