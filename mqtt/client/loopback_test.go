package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// realPatience is how long tests with real sockets wait for what must come.
const realPatience = 10 * time.Second

// echo is a server of 5.0 that sends each message back at QoS 1 and acknowledges.
func echo(t testing.TB, addr string) string {
	t.Helper()
	l, err := transport.Listen(addr, transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { // ends with the listener; waited for in Cleanup
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { // ends when the client goes; waited for in Cleanup
				if err := echoConn(c); err != nil && err != io.EOF {
					t.Errorf("echo: %v", err)
				}
				_ = c.Close() // the client may have closed it
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return l.Addr()
}

func echoConn(c net.Conn) error {
	var in, out []byte
	id, b := uint16(0), make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return io.EOF // however the client went
		}
		in = append(in, b[:n]...)
		out = out[:0]
		for {
			total, _, _, err := packet.Frame(in, 0)
			if err != nil {
				return err
			}
			if total == 0 {
				break
			}
			p, err := packet.Read(in[:total], packet.V5)
			if err != nil {
				return err
			}
			switch p := p.(type) {
			case *packet.Connect:
				out = (&packet.Connack{}).Append(out, packet.V5)
			case *packet.Pingreq:
				out = (&packet.Pingresp{}).Append(out, packet.V5)
			case *packet.Disconnect:
				return io.EOF
			case *packet.Publish:
				if p.QoS == 1 {
					out = ack(packet.PUBACK, p.PacketID, 0).Append(out, packet.V5)
				}
				if id++; id == 0 {
					id = 1
				}
				out = (&packet.Publish{Topic: p.Topic, Payload: p.Payload, QoS: 1, PacketID: id}).Append(out, packet.V5)
			}
			in = in[total:]
		}
		if len(out) == 0 {
			continue
		}
		if _, err := c.Write(out); err != nil {
			return io.EOF
		}
	}
}

// TestOverEveryTransport sends messages of all sizes through and back, in order.
func TestOverEveryTransport(t *testing.T) {
	for _, addr := range []string{"tcp://127.0.0.1:0", "ws://127.0.0.1:0/mqtt", "unix://" + filepath.Join(t.TempDir(), "m.sock")} {
		t.Run(addr[:4], func(t *testing.T) {
			got := make(chan *Message, 600)
			c, err := Dial(context.Background(), Config{Addr: echo(t, addr), MaxInflight: 50, OnMessage: func(m *Message) { got <- m }})
			must(t, err)
			payload := func(i int) []byte {
				size := i
				if i%100 == 99 {
					size = 700_000
				}
				return bytes.Repeat([]byte{byte(i)}, size)
			}
			acked := make(outcomes, 600)
			for i := range 600 {
				must(t, c.PublishAsync(&Message{Topic: "t", Payload: payload(i), QoS: byte(i % 2)}, acked.done("")))
			}
			for i := range 600 {
				select {
				case m := <-got:
					if !bytes.Equal(m.Payload, payload(i)) {
						t.Fatalf("message %d: got %d bytes, want %d", i, len(m.Payload), len(payload(i)))
					}
				case <-time.After(realPatience):
					t.Fatalf("message %d did not come: %v", i, c.Err())
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), realPatience)
			defer cancel()
			must(t, c.Disconnect(ctx))
			for range 600 {
				if o := <-acked; o.err != nil {
					t.Errorf("not acknowledged: %v", o.err)
				}
			}
			if c.Err() != ErrClosed {
				t.Errorf("got %v, want ErrClosed", c.Err())
			}
		})
	}
}

// TestManySenders publishes from many goroutines at once; each one's messages keep their order.
func TestManySenders(t *testing.T) {
	const senders, each = 8, 200
	type mark struct{ sender, n int }
	got := make(chan mark, senders*each)
	c, err := Dial(context.Background(), Config{Addr: echo(t, "127.0.0.1:0"), MaxInflight: 5, OnMessage: func(m *Message) {
		var at mark
		if _, err := fmt.Sscan(string(m.Payload), &at.sender, &at.n); err != nil {
			t.Error(err)
		}
		got <- at
	}})
	must(t, err)
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for n := range each {
				if _, err := c.Publish(context.Background(), message("t", fmt.Sprint(s, " ", n), byte(s%2))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	var next [senders]int
	for range senders * each {
		select {
		case at := <-got:
			if at.n != next[at.sender] {
				t.Fatalf("sender %d: got message %d, want %d", at.sender, at.n, next[at.sender])
			}
			next[at.sender]++
		case <-time.After(realPatience):
			t.Fatal("a message did not come")
		}
	}
	c.Abort()
	<-c.Done()
}

func TestDialNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := l.Addr().String()
	must(t, l.Close())
	if _, err := Dial(context.Background(), Config{Addr: addr}); err == nil {
		t.Error("got no error")
	}
	if _, err := Dial(context.Background(), Config{Addr: "http://x"}); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want an error about the address", err)
	}
}

func BenchmarkPublish(b *testing.B) {
	for qos := range byte(2) {
		b.Run(fmt.Sprint("QoS", qos), func(b *testing.B) {
			var got sync.WaitGroup
			c, err := Dial(context.Background(), Config{Addr: echo(b, "127.0.0.1:0"), OnMessage: func(*Message) { got.Done() }})
			if err != nil {
				b.Fatal(err)
			}
			m := &Message{Topic: "site/7/device/42/temperature", Payload: make([]byte, 100), QoS: qos}
			b.ReportAllocs()
			for b.Loop() {
				got.Add(1)
				if err := c.PublishAsync(m, nil); err != nil {
					b.Fatal(err)
				}
			}
			got.Wait()
			c.Abort()
			<-c.Done()
		})
	}
}

// BenchmarkIdle tells what an idle client costs, the server's end of the test included.
func BenchmarkIdle(b *testing.B) {
	addr := idleServer(b)
	before := memory()
	var clients []*Client
	for b.Loop() {
		if len(clients) == 5000 {
			continue // enough to measure; file descriptors are bounded
		}
		c, err := Dial(context.Background(), Config{Addr: addr})
		if err != nil {
			b.Fatal(err)
		}
		clients = append(clients, c)
	}
	b.ReportMetric(float64(memory()-before)/float64(len(clients)), "B/client")
	for _, c := range clients {
		c.Abort()
		<-c.Done()
	}
}

// idleServer answers CONNECT and then only keeps the connection.
func idleServer(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with the listener; waited for in Cleanup
		defer close(done)
		buf := make([]byte, 1000)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write((&packet.Connack{}).Append(nil, packet.V5)); err != nil {
				return
			}
		}
	}()
	b.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
