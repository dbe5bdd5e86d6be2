package transport

import (
	"net"
	"syscall"
)

// Moved is what has crossed a connection so far, as the kernel saw it. Bytes count as they are on the line: with TLS and
// the borders of WebSocket, and also those of the handshakes.
type Moved struct {
	Acked    uint64 // of ours, acknowledged by the other end's kernel; its differences are exact
	Received uint64 // of theirs
	Unacked  int    // of ours, written and not acknowledged yet
}

// Since is how many bytes moved after earlier, in both directions.
func (m Moved) Since(earlier Moved) uint64 {
	return m.Acked - earlier.Acked + m.Received - earlier.Received
}

// MovedOn asks the kernel what has crossed c, or the connection that c wraps and shows by NetConn, as TLS and WebSocket do.
// While that rises the line lives, whatever those at its ends are waiting for. What acknowledges is the next hop that ends
// TCP: a proxy hides what is behind it. false = the kernel cannot tell: not Linux, no TCP, closed.
//
// A connection may have an answer of its own: a method Moved.
func MovedOn(c net.Conn) (m Moved, ok bool) {
	switch c := c.(type) {
	case interface{ Moved() (Moved, bool) }:
		return c.Moved()
	case interface{ NetConn() net.Conn }:
		return MovedOn(c.NetConn())
	case syscall.Conn:
		raw, err := c.SyscallConn()
		if err != nil {
			return m, false
		}
		err = raw.Control(func(fd uintptr) { m, ok = movedOn(int(fd)) })
		return m, ok && err == nil
	}
	return m, false
}
