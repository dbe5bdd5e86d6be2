package transport

import (
	"io"
	"net"
	"syscall"
)

// socketConn is a connection that is a socket of the kernel.
type socketConn interface {
	net.Conn
	syscall.Conn
}

// Read, Write and SyscallConn go past net's own.

func (c *tcpConn) Read(b []byte) (int, error)             { return c.direct.Read(b) }
func (c *tcpConn) Write(b []byte) (int, error)            { return c.direct.Write(b) }
func (c *tcpConn) SyscallConn() (syscall.RawConn, error)  { return c.direct.SyscallConn() }
func (c *unixConn) Read(b []byte) (int, error)            { return c.direct.Read(b) }
func (c *unixConn) Write(b []byte) (int, error)           { return c.direct.Write(b) }
func (c *unixConn) SyscallConn() (syscall.RawConn, error) { return c.direct.SyscallConn() }

// close closes c, and wakes it if it was parked.
func (p *parker) close(c io.Closer) error {
	wake := p.leave()
	err := c.Close()
	if wake != nil {
		wake()
	}
	return err
}
