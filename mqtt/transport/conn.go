package transport

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
)

// Conn is what a connection must be, besides a net.Conn, for an idle one to cost neither a buffer nor a goroutine. What a
// tcp or unix listener accepts is one, on Linux and other unix systems. A connection that is no Conn works all the same and
// costs more; Unparked says so.
//
// A kind of connection that changes nothing on the way (it counts, or logs) embeds a Conn and overrides what it cares for.
// Each way of reading and of writing has two doors: whoever overrides Read overrides TryRead too, whoever overrides Write
// overrides WriteBuffers. A kind that changes the bytes, as TLS and WebSocket do, is no Conn: nobody may read past it.
type Conn interface {
	net.Conn
	// SyscallConn gives the socket: to wait on it, and to look whether bytes are there. The same RawConn each time.
	syscall.Conn
	// TryRead reads once without waiting: syscall.EAGAIN = there is nothing now, 0 and nil = the end. Only inside a
	// function that SyscallConn's Read has called with fd.
	TryRead(fd uintptr, b []byte) (n int, err error)
	// WriteBuffers writes bufs one after the other, with one system call where that can be done. It consumes bufs.
	WriteBuffers(bufs *net.Buffers) (n int64, err error)
	// Park has wake called, once, when there is something to read, the connection has ended, or is closed; until then it
	// must not be read. wake must not block. false = it cannot be parked, and wake is not called.
	Park(lot *Lot, wake func()) bool
	// SetRemoteAddr makes addr what RemoteAddr answers. Before anybody else has the connection.
	SetRemoteAddr(addr net.Addr)
}

// socketConn is a connection that is a socket of the kernel: *net.TCPConn or *net.UnixConn.
type socketConn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// conn is a Conn over a socket. Read and Write go past net's own (see direct); Close gives its place in the listener back.
type conn struct {
	socketConn
	direct direct
	parker parker
	open   *atomic.Int64 // connections of the listener, this one among them until once is set
	once   atomic.Bool
	remote net.Addr // as a proxy said; nil = the peer's
}

// newConn counts c in open, where it has its place already, until it is closed.
func newConn(c socketConn, open *atomic.Int64) *conn {
	return &conn{socketConn: c, direct: newDirect(c), open: open}
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) { return c.direct.Read(b) }

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) { return c.direct.Write(b) }

// SyscallConn implements Conn.
func (c *conn) SyscallConn() (syscall.RawConn, error) { return c.direct.SyscallConn() }

// WriteBuffers implements Conn. It asks the socket itself, because net knows writev for its own types only.
func (c *conn) WriteBuffers(bufs *net.Buffers) (int64, error) { return bufs.WriteTo(c.socketConn) }

// SetRemoteAddr implements Conn.
func (c *conn) SetRemoteAddr(addr net.Addr) { c.remote = addr }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.socketConn.RemoteAddr()
}

// Close implements net.Conn, and wakes the connection if it is parked.
func (c *conn) Close() error {
	if c.once.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	wake := c.parker.leave()
	err := c.socketConn.Close()
	if wake != nil {
		wake()
	}
	return err
}

// Reasons of Unparked.
const (
	UnparkedTLS       = "tls"       // it changes the bytes on their way
	UnparkedWebSocket = "websocket" // likewise
	UnparkedWrapped   = "wrapped"   // it hides what it wraps: it is no Conn
	UnparkedSystem    = "system"    // nothing is parked on this system
)

// Unparked tells why c costs a goroutine when it is idle, in one of the words above. "" = it need not.
func Unparked(c net.Conn) (why string) {
	if !parks {
		return UnparkedSystem
	}
	switch c := c.(type) {
	case Conn:
		return ""
	case interface{ unparked() string }:
		return c.unparked()
	case interface{ ConnectionState() tls.ConnectionState }:
		return UnparkedTLS
	}
	return UnparkedWrapped
}
