package paho

import (
	"errors"
	"net"

	"mangrove/mqtt/packet"
)

// line is a connection that can break in place of a packet from the server.
type line struct {
	net.Conn
	cut packet.Type // 0 = it holds

	in    []byte // read, not yet a whole packet
	ready []byte // whole packets
}

var errCut = errors.New("the line was cut")

// Read implements net.Conn. One goroutine reads.
func (l *line) Read(b []byte) (int, error) {
	if l.cut == 0 {
		return l.Conn.Read(b)
	}
	for len(l.ready) == 0 {
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, l.ready)
	l.ready = l.ready[n:]
	return n, nil
}

// fill reads on, and moves the packets that are whole.
func (l *line) fill() error {
	chunk := make([]byte, 4096)
	n, err := l.Conn.Read(chunk)
	if err != nil {
		return err
	}
	l.in = append(l.in, chunk[:n]...)
	for {
		size, _, _, err := packet.Frame(l.in, 0)
		if err != nil || size == 0 {
			return err
		}
		if packet.Type(l.in[0]>>4) == l.cut {
			return errors.Join(errCut, l.Close())
		}
		l.ready = append(l.ready, l.in[:size]...)
		l.in = l.in[size:]
	}
}
