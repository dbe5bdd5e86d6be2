package transport

import "net"

// Quiet turns off the kernel's own probes of an idle connection, one every 15 s: for connections that have a keep-alive above
// TCP, on lines that are paid by the byte. It does nothing where there are none.
func Quiet(c net.Conn) {
	switch c := c.(type) {
	case interface{ SetKeepAlive(bool) error }:
		_ = c.SetKeepAlive(false) // fails only when c is closed
	case *conn:
		Quiet(c.socketConn)
	case interface{ NetConn() net.Conn }:
		Quiet(c.NetConn())
	}
}
