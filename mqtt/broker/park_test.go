package broker

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// goroutinesBelow waits until there are at most n.
func goroutinesBelow(t *testing.T, n int) {
	t.Helper()
	end := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > n {
		if time.Now().After(end) {
			t.Fatalf("got %d goroutines, want at most %d", runtime.NumGoroutine(), n)
		}
		runtime.Gosched()
	}
}

// Idle connections have no goroutine, and go on as if they had.
func TestIdleConnectionsAreParked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("connections are parked on Linux only")
	}
	b := listening(t, func(c *Config) { c.CloseTimeout = time.Second }, "127.0.0.1:0")
	const n = 50
	before := runtime.NumGoroutine()
	var all []*socket
	for i := range n {
		all = append(all, dial(t, b.srv.Addrs()[0], packet.V5, fmt.Sprint("c", i)))
	}
	goroutinesBelow(t, before+n/10)
	for range 3 {
		for _, s := range all {
			s.write(&packet.Pingreq{})
			if got, ok := s.read().(*packet.Pingresp); !ok {
				t.Fatalf("got %+v, want PINGRESP", got)
			}
		}
		goroutinesBelow(t, before+n/10)
	}
	all[0].nc.Close() // one that simply goes
	all[1].write(&packet.Disconnect{})
	for {
		b.srv.mu.Lock()
		left := len(b.srv.conns)
		b.srv.mu.Unlock()
		if left == n-2 {
			break
		}
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.srv.Close(ctx); err != nil {
		t.Errorf("close with parked connections: %v", err)
	}
	for _, s := range all[2:] {
		if got, ok := s.read().(*packet.Disconnect); !ok || got.Reason != packet.ServerShuttingDown {
			t.Fatalf("got %+v, want DISCONNECT", got)
		}
	}
}

// A parked client that stays silent is gone after 1.5 × keep alive. [MQTT-3.1.2-22]
func TestKeepAliveOfParkedConnections(t *testing.T) {
	b := listening(t, nil, "127.0.0.1:0")
	s := dial(t, b.srv.Addrs()[0], packet.V311, "c", func(c *packet.Connect) { c.KeepAlive = 1 })
	if _, err := s.r.ReadByte(); err != io.EOF {
		t.Errorf("got %v, want the end of the connection", err)
	}
}

// countedConn is a connection of a kind that the transport does not know: it counts what it reads.
type countedConn struct {
	transport.Conn
	n *atomic.Int64
}

func (c countedConn) TryRead(fd uintptr, b []byte) (int, error) {
	n, err := c.Conn.TryRead(fd, b)
	c.n.Add(int64(n))
	return n, err
}

// hidden is a connection that hides what it wraps.
type hidden struct{ net.Conn }

// A wrapped connection is parked where it is a transport.Conn; else it is served, and reported.
func TestWrappedConnections(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("connections are parked on Linux only")
	}
	b := listening(t, nil)
	l, err := transport.Listen("127.0.0.1:0", transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	serve := func(wrap func(net.Conn) net.Conn) *socket {
		go func() { // ends with the connection that is dialled below
			nc, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			b.srv.Serve(wrap(nc), "wrapped")
		}()
		return dial(t, strings.TrimPrefix(l.Addr(), "tcp://"), packet.V5, "c")
	}
	var n atomic.Int64
	before := runtime.NumGoroutine()
	s := serve(func(nc net.Conn) net.Conn { return countedConn{nc.(transport.Conn), &n} })
	goroutinesBelow(t, before+1) // the lot's
	if n.Load() == 0 {
		t.Error("got no bytes counted, want those of CONNECT")
	}
	reported := b.metrics.Counter(`mangrove_connections_unparked_total{reason="wrapped"}`)
	if got := reported.Get(); got != 0 {
		t.Errorf("got %d connections reported, want none", got)
	}
	s.write(&packet.Disconnect{})
	s = serve(func(nc net.Conn) net.Conn { return hidden{nc} })
	s.write(&packet.Pingreq{})
	if got, ok := s.read().(*packet.Pingresp); !ok {
		t.Errorf("got %+v, want PINGRESP", got)
	}
	if got := reported.Get(); got != 1 {
		t.Errorf("got %d connections reported, want 1", got)
	}
}
