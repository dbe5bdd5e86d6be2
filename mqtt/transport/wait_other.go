//go:build !unix

package transport

import "net"

// ReadWaiter answers nil: on this system a connection must simply be read.
func ReadWaiter(net.Conn) (wait func() error) { return nil }

// HasInput always answers false here.
func HasInput(net.Conn) bool { return false }
