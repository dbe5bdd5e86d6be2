//go:build !linux

package transport

// Lot parks nothing on this system: idle connections are read.
type Lot struct{}

// parks says that no connection can be parked on this system.
const parks = false

// Park implements Conn.
func (c *conn) Park(*Lot, func()) bool { return false }

// Close does nothing.
func (*Lot) Close() error { return nil }

type parker struct{}

func (*parker) leave() (wake func()) { return nil }
