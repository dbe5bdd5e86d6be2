package transport

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// movingConn is a connection of which the test says what has moved.
type movingConn struct {
	net.Conn
	mute  bool // nobody can tell
	moved atomic.Uint64
}

func (c *movingConn) Moved() (Moved, bool) { return Moved{Received: c.moved.Load()}, !c.mute }

// A handshake may take its time while bytes move, a byte now and then is no progress, and a dead line ends it in time.
func TestWhileMoving(t *testing.T) {
	const patience = 10 * time.Second
	for _, c := range []struct {
		name  string
		mute  bool
		bytes uint64 // every second
		lasts time.Duration
	}{
		{"nothing moves", false, 0, patience},
		{"a line of 300 bytes a second", false, 300, 0},
		{"a byte now and then", false, 1, patience},
		{"nobody can tell", true, 300, patience},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &movingConn{mute: c.mute}
				began := time.Now()
				moving, stop := WhileMoving(context.Background(), conn, patience)
				defer stop()
				for moving.Err() == nil && time.Since(began) < time.Minute {
					conn.moved.Add(c.bytes)
					time.Sleep(time.Second) // the bubble's time
					synctest.Wait()
				}
				if c.lasts == 0 {
					c.lasts = time.Minute
				} else if !errors.Is(context.Cause(moving), context.DeadlineExceeded) {
					t.Errorf("ended with %v, want the deadline", context.Cause(moving))
				}
				if took := time.Since(began); took > c.lasts+time.Second || took < c.lasts {
					t.Errorf("lasted %v, want %v", took, c.lasts)
				}
			})
		})
	}
}
