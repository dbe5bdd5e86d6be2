//go:build unix

package transport

import (
	"io"
	"os"
	"sync"
	"syscall"
)

// direct reads and writes a connection with TryRead and TryWrite; Go's poller only waits. It takes the
// connection's own locks and deadlines, so it may be mixed with what else the connection can do.
type direct struct{ raw syscall.RawConn }

func newDirect(c socketConn) direct {
	raw, err := c.SyscallConn()
	if err != nil {
		panic("BUG: a socket of net without a RawConn: " + err.Error()) // only nil has none
	}
	return direct{raw}
}

// TryRead implements Conn.
func (c *conn) TryRead(fd uintptr, b []byte) (int, error) { return TryRead(fd, b) }

// SyscallConn implements syscall.Conn; it is the same RawConn each time.
func (d direct) SyscallConn() (syscall.RawConn, error) { return d.raw, nil }

// transfer is one Read or Write under way. Pooled, because a function that RawConn calls is allocated.
type transfer struct {
	b   []byte
	n   int
	err error

	read, write func(fd uintptr) bool // methods of this transfer, made once
}

var transfers = sync.Pool{New: func() any {
	t := new(transfer)
	t.read, t.write = t.tryRead, t.tryWrite
	return t
}}

func (t *transfer) tryRead(fd uintptr) (done bool) {
	t.n, t.err = TryRead(fd, t.b)
	return t.err != syscall.EAGAIN
}

// tryWrite writes all there is, in as many calls as it takes.
func (t *transfer) tryWrite(fd uintptr) (done bool) {
	for t.n < len(t.b) {
		n, err := TryWrite(fd, t.b[t.n:])
		t.n += n
		if err != nil {
			t.err = err
			return err != syscall.EAGAIN
		}
	}
	t.err = nil
	return true
}

func (d direct) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := begin(b)
	n, err := t.end("read", d.raw.Read(t.read))
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (d direct) Write(b []byte) (int, error) {
	t := begin(b)
	return t.end("write", d.raw.Write(t.write))
}

func begin(b []byte) *transfer {
	t := transfers.Get().(*transfer)
	t.b, t.n, t.err = b, 0, nil
	return t
}

// end is what became of t; err is the poller's: a deadline, or the connection's end.
func (t *transfer) end(what string, err error) (int, error) {
	n := t.n
	if err == nil && t.err != nil {
		err = os.NewSyscallError(what, t.err)
	}
	t.b = nil
	transfers.Put(t)
	return n, err
}
