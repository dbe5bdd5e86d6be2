//go:build unix

package transport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadWaiter returns a function that waits until c has something to read, or has ended, without a
// buffer to read into: so an idle connection need not hold one. It answers nil then; else the error
// that a Read would have given, as of a deadline. It counts as a reader: one at a time. ReadWaiter
// answers nil for connections where the kernel cannot tell (TLS): those must simply be read.
func ReadWaiter(c net.Conn) (wait func() error) {
	if w, ok := c.(interface{ readWaiter() func() error }); ok {
		return w.readWaiter()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return func() error { return raw.Read(readable) }
}

// readable looks for a byte without taking it. Asking first matters: the poller tells of changes only.
func readable(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return err != unix.EAGAIN
		}
	}
}

// readWaiter is ReadWaiter for a WebSocket: what came with the handshake, and an end that was seen, need no waiting.
func (w *wsConn) readWaiter() func() error {
	below := ReadWaiter(w.Conn)
	if below == nil {
		return nil
	}
	return func() error {
		if len(w.rest) > 0 || w.readErr != nil {
			return nil
		}
		return below()
	}
}

// HasInput reports whether c, or the connection that it wraps and shows by NetConn, has bytes to read, or its end, that nobody
// has read yet. It does not wait, and takes nothing; another goroutine may be reading. false where the kernel cannot be asked.
func HasInput(c net.Conn) (has bool) {
	switch below := c.(type) {
	case interface{ NetConn() net.Conn }: // TLS, WebSocket
		return HasInput(below.NetConn())
	case syscall.Conn:
		if raw, err := below.SyscallConn(); err == nil {
			// An error means that it is closed: there is nothing to read.
			_ = raw.Control(func(fd uintptr) { has = readable(fd) })
		}
	}
	return has
}
