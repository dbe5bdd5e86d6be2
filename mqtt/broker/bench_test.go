package broker

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

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
	c.version, c.rd.connected = packet.V311, true
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
