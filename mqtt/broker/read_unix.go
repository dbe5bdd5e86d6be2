//go:build unix

package broker

import (
	"syscall"

	"mangrove/mqtt/transport"
)

const rawReads = true

// tryRead reads once without waiting; false makes RawConn.Read wait for the descriptor to become
// readable, with no buffer held meanwhile.
func (in *input) tryRead(fd uintptr) bool {
	idle := in.step == nil
	if idle {
		in.step = in.steps.get()
	}
	in.taken.Store(true)
	in.n, in.err = transport.TryRead(fd, in.step.buf[in.step.end:])
	if in.err == syscall.EAGAIN {
		in.taken.Store(false)
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
