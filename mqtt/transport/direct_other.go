//go:build !unix

package transport

import "syscall"

// direct leaves reading and writing to Go's poller. A conn has no TryRead here, so it is no Conn.
type direct struct{ socketConn }

func newDirect(c socketConn) direct { return direct{c} }

func (d direct) SyscallConn() (syscall.RawConn, error) { return d.socketConn.SyscallConn() }
