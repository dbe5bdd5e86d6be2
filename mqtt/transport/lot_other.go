//go:build !linux

package transport

import "net"

// Lot parks nothing on this system: idle connections are read.
type Lot struct{}

// Park answers false.
func (*Lot) Park(net.Conn, func()) bool { return false }

// Close does nothing.
func (*Lot) Close() error { return nil }

type parker struct{}

func (*parker) leave() (wake func()) { return nil }
