package broker

import (
	"io"
	"net"
	"syscall"

	"mangrove/mqtt/transport"
)

// input reads from a connection and holds a buffer only while there are bytes.
type input struct {
	nc    net.Conn
	steps *stepPool
	src   transport.Conn        // nil = nc can only be read, and not be parked
	raw   syscall.RawConn       // of src
	wait  func() error          // waits for bytes where there is no raw; nil = only reading can wait
	try   func(fd uintptr) bool // tryRead, made once
	step  *step                 // nil while idle
	want  int                   // size of the packet at the start of step, if known
	one   [1]byte               // where an idle read goes when there is neither raw nor wait
	parks bool                  // errIdle instead of waiting for the next packet
	told  *unreadState          // of the same connection
	n     int                   // what tryRead found
	err   error
}

func (in *input) init(nc net.Conn, steps *stepPool, told *unreadState) {
	in.nc, in.steps, in.told = nc, steps, told
	if src, ok := nc.(transport.Conn); ok {
		if raw, err := src.SyscallConn(); err == nil { // else it is closed
			in.src, in.raw, in.try = src, raw, in.tryRead
			return
		}
	}
	in.wait = transport.ReadWaiter(nc)
}

// fill waits for bytes and adds them to in.step. errIdle = parks is set and there are none; io.EOF is an orderly end of
// the connection. All bytes that came before must have been handled.
func (in *input) fill() error {
	if in.step != nil {
		in.step.makeRoom(in.want)
	}
	if in.raw != nil {
		return in.fillRaw()
	}
	in.told.handled()
	if in.step == nil && in.wait == nil {
		return in.fillIdle()
	}
	if in.step == nil {
		if err := in.wait(); err != nil {
			return err
		}
		in.told.taken.Store(true)
		in.step = in.steps.get()
	}
	n, err := in.nc.Read(in.step.buf[in.step.end:])
	in.told.taken.Store(true)
	in.step.end += n
	if n > 0 {
		return nil
	}
	return err
}

// fillRaw takes a buffer only once the kernel has bytes for it.
func (in *input) fillRaw() error {
	if err := in.raw.Read(in.try); err != nil {
		return err
	}
	if in.err != nil {
		return in.err
	}
	if in.n == 0 {
		return io.EOF
	}
	in.step.end += in.n
	return nil
}

// tryRead reads once without waiting; false makes RawConn.Read wait for the descriptor to become
// readable, with no buffer held meanwhile.
func (in *input) tryRead(fd uintptr) bool {
	idle := in.step == nil
	if idle {
		in.step = in.steps.get()
	}
	in.told.taken.Store(true)
	in.n, in.err = in.src.TryRead(fd, in.step.buf[in.step.end:])
	if in.err == syscall.EAGAIN {
		in.told.handled()
		if idle {
			in.steps.put(in.step)
			in.step = nil
		}
		if idle && in.parks {
			in.err = errIdle
			return true
		}
		return false
	}
	return true
}

// fillIdle waits for one byte and only then takes a buffer: a packet has at least two.
func (in *input) fillIdle() error {
	n, err := in.nc.Read(in.one[:])
	for n == 0 && err == nil { // a Reader may say so: nothing has happened
		n, err = in.nc.Read(in.one[:])
	}
	if n == 0 {
		return err
	}
	in.told.taken.Store(true)
	in.step = in.steps.get()
	in.step.buf[0] = in.one[0]
	in.step.end = 1
	n, err = in.nc.Read(in.step.buf[1:])
	in.step.end += n
	if n > 0 {
		return nil
	}
	return err
}

// rest is called after a step: what is left of the bytes waits for more.
func (in *input) rest(want int) {
	in.want = want
	if len(in.step.data()) == 0 {
		in.steps.put(in.step)
		in.step = nil
	}
}

// drop gives the buffer back at the end of the connection.
func (in *input) drop() {
	if in.step != nil {
		in.steps.put(in.step)
		in.step = nil
	}
}
