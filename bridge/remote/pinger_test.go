package remote

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt/transport"
)

// askedConn counts PINGREQ, and moves as the test says.
type askedConn struct {
	net.Conn
	mu    sync.Mutex
	asks  int
	moved transport.Moved
}

func (c *askedConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks++
	return len(b), nil
}

func (c *askedConn) Moved() (transport.Moved, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved, true
}

func (c *askedConn) move(acked, received uint64, unacked int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved.Acked, c.moved.Received, c.moved.Unacked = c.moved.Acked+acked, c.moved.Received+received, unacked
}

// An idle line costs a PINGREQ for two thirds of the keep-alive. What moves is alive; a dead line, and a broker that hangs, are noticed
// within 1.5 times the keep-alive.
func TestPinger(t *testing.T) {
	const alive, span = time.Minute, 20 * time.Minute
	for _, c := range []struct {
		name   string
		second func(p *pinger, c *askedConn) // what happens in each
		asks   [2]int                        // at least and at most in span; of one that ends: before
		ends   bool
	}{
		{"idle, and answered", func(p *pinger, c *askedConn) { p.PingResp() }, [2]int{28, 31}, false},
		{"a large message comes", func(_ *pinger, c *askedConn) { c.move(0, 300, 0) }, [2]int{28, 31}, false},
		{"a large message goes", func(_ *pinger, c *askedConn) { c.move(300, 0, 100_000) }, [2]int{28, 31}, false},
		{"nothing moves", func(*pinger, *askedConn) {}, [2]int{1, 2}, true},
		{"the kernel acknowledges PINGREQ alone", func(_ *pinger, c *askedConn) { c.move(2, 0, 0) }, [2]int{1, 2}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				p, conn, began := newPinger(), new(askedConn), time.Now()
				over := make(chan error, 1)
				go func() { over <- p.Run(ctx, conn, uint16(alive/time.Second)) }()
				var err error
				for err == nil && time.Since(began) < span {
					select {
					case err = <-over:
					case <-time.After(time.Second):
						c.second(p, conn)
					}
				}
				took := time.Since(began)
				if errors.Is(err, errNoAnswer) != c.ends || c.ends && took > alive+alive/2 {
					t.Errorf("got %v after %v, want an end %v within 1.5 times the keep-alive", err, took, c.ends)
				}
				conn.mu.Lock()
				defer conn.mu.Unlock()
				if conn.asks < c.asks[0] || conn.asks > c.asks[1] {
					t.Errorf("%d PINGREQ in %v, want %v", conn.asks, took, c.asks)
				}
			})
		})
	}
}
