package broker

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// sink takes messages and forgets them.
type sink struct{ id string }

func (s *sink) Deliver(*mqtt.Message, mqtt.Delivery, *mqtt.Receipt) {}
func (s *sink) ClientID() string                                    { return s.id }
func (s *sink) Scope() mqtt.Scope                                   { return mqtt.ScopeClient }
func (s *sink) Online() bool                                        { return true }

// nowhere is a connection that swallows what is written.
type nowhere struct{ net.Conn }

func (nowhere) Write(b []byte) (int, error)      { return len(b), nil }
func (nowhere) Close() error                     { return nil }
func (nowhere) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (nowhere) SetWriteDeadline(time.Time) error { return nil }

// wired is a connection in the middle of its life, without goroutines.
func wired(t testing.TB, subscribers int) (*conn, *step) {
	r := testRouter()
	sessions := newMemSessions(r)
	srv, err := New(Config{Router: r, Sessions: sessions, SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(srv, "test", srv.grants, nowhere{})
	c.version, c.connected = packet.V311, true
	for i := range subscribers {
		out := newConn(srv, "test", srv.grants, nowhere{})
		out.version = packet.V311
		out.out.held = true // no writer: what is measured is the reader's side
		s, _, err := sessions.Open(mqtt.OpenRequest{ClientID: fmt.Sprint("s", i)}, out)
		if err != nil {
			t.Fatal(err)
		}
		s.Resume()
		if _, err := s.Subscribe([]mqtt.Subscription{{Filter: "a/b"}}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { out.out.ready = nil })
	}
	return c, srv.steps.get()
}

// handle gives the bytes of one read to the connection and empties the subscribers' output.
func handle(t testing.TB, c *conn, s *step, data []byte) {
	s.start, s.end = 0, copy(s.buf, data)
	if _, err := c.handleAll(s); err != nil {
		t.Fatal(err)
	}
	c.commit(s)
	for _, session := range c.srv.cfg.Sessions.(*memSessions).byID {
		o := &session.out.(*conn).out
		if o.ready != nil {
			o.ready.b = o.ready.b[:0]
		}
	}
}

// A QoS 0 PUBLISH to online subscribers allocates nothing.
func TestQoS0PublishAllocations(t *testing.T) {
	c, s := wired(t, 10)
	data := pub("a/b", "some payload").Append(nil, packet.V311)
	handle(t, c, s, data)
	if got := testing.AllocsPerRun(1000, func() { handle(t, c, s, data) }); got > 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

// At QoS 1 neither: the receipt and the acknowledgement to come are one pooled struct. [MQTT-4.3.2-4]
func TestQoS1PublishAllocations(t *testing.T) {
	c, s := wired(t, 10)
	data := pubQ(1, 1, "a/b", "some payload").Append(nil, packet.V311)
	c.out.held = true // no writer
	publish := func() {
		handle(t, c, s, data)
		c.out.ready.b = c.out.ready.b[:0]
	}
	publish()
	if got := testing.AllocsPerRun(1000, publish); got > 0 && !racing {
		t.Errorf("got %v allocations, want none", got)
	}
}

func BenchmarkReadQoS1(b *testing.B) {
	c, s := wired(b, 1)
	var data []byte
	for id := range uint16(100) { // one read, as under load
		data = pubQ(1, id+1, "a/b", string(make([]byte, 64))).Append(data, packet.V311)
	}
	c.out.held = true // no writer
	b.ReportAllocs()
	for b.Loop() {
		handle(b, c, s, data)
		c.out.ready.b = c.out.ready.b[:0]
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*100), "ns/publish")
}

func BenchmarkReadQoS0(b *testing.B) {
	for _, subscribers := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			c, s := wired(b, subscribers)
			data := pub("a/b", string(make([]byte, 64))).Append(nil, packet.V311)
			b.ReportAllocs()
			for b.Loop() {
				handle(b, c, s, data)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*subscribers), "ns/delivery")
		})
	}
}

// BenchmarkRouterFanOut is one Publish to many, as from a link: without the publisher's cache, and with it.
func BenchmarkRouterFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		r := testRouter()
		for i := range n {
			r.Subscribe(&sink{fmt.Sprint(i)}, mqtt.Subscription{Filter: "a/+", QoS: 1})
		}
		rc := mqtt.NewReceipt(new(store.Batch), nil)
		b.Run(fmt.Sprint("match/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Publish(&mqtt.Message{Topic: "a/b"}, rc)
			}
		})
		b.Run(fmt.Sprint("cached/", n), func(b *testing.B) {
			var cache matchCache
			b.ReportAllocs()
			for b.Loop() {
				e, err := cache.get(r, "p", []byte("a/b"), 0)
				if err != nil {
					b.Fatal(err)
				}
				r.publish(&mqtt.Message{Topic: e.topic}, rc, e.targets, e.slack)
			}
		})
	}
}

// BenchmarkTCPQoS0 is one publisher to one subscriber over loopback, as fast as it goes.
func BenchmarkTCPQoS0(b *testing.B) {
	pubConn, subConn := tcpPair(b)
	const perWrite = 64
	var burst []byte
	for range perWrite {
		burst = pub("a/b", string(make([]byte, 64))).Append(burst, packet.V311)
	}
	size := len(burst) / perWrite
	b.SetBytes(int64(size))
	done := make(chan error, 1)
	total := b.N
	go func() {
		buf := make([]byte, 64<<10)
		for got := 0; got < total*size; {
			n, err := subConn.Read(buf)
			if err != nil {
				done <- err
				return
			}
			got += n
		}
		done <- nil
	}()
	b.ResetTimer()
	for sent := 0; sent < total; {
		n := min(perWrite, total-sent)
		if _, err := pubConn.Write(burst[:n*size]); err != nil {
			b.Fatal(err)
		}
		sent += n
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func tcpPair(b *testing.B) (publisher, subscriber net.Conn) {
	r := testRouter()
	srv, err := New(Config{Router: r, Sessions: newMemSessions(r), SysInterval: -1, MaxOutput: 1 << 30,
		Listeners: []ListenerConfig{{Addr: "127.0.0.1:0"}}})
	if err != nil {
		b.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := srv.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	open := func(id string, more ...packet.Packet) net.Conn {
		nc, err := net.Dial("tcp", srv.Addrs()[0])
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { nc.Close() })
		for _, p := range append([]packet.Packet{&packet.Connect{Version: packet.V311, ClientID: id, CleanStart: true}}, more...) {
			if _, err := nc.Write(p.Append(nil, packet.V311)); err != nil {
				b.Fatal(err)
			}
			if _, err := nc.Read(make([]byte, 16)); err != nil {
				b.Fatal(err)
			}
		}
		return nc
	}
	return open("p"), open("s", sub(1, "a/b"))
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
