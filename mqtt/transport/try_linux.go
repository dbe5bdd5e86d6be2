package transport

import (
	"syscall"
	"unsafe"
)

// mostAtOnce bounds one system call of TryRead and TryWrite: the scheduler cannot stop the goroutine
// meanwhile.
const mostAtOnce = 256 << 10

// TryRead reads once from a socket that does not block; syscall.EAGAIN = there is nothing now, 0 and nil = its end.
//
// Unlike syscall.Read it does not tell the scheduler. A call that cannot wait need not, and being told costs
// more than it: where one core is all there is, the runtime's monitor wakes up with each call, and takes
// what it finds in a call away from the thread that is about to return.
func TryRead(fd uintptr, b []byte) (n int, err error) { return try(syscall.SYS_READ, fd, b) }

// TryWrite writes once to a socket that does not block; syscall.EAGAIN = there is no room now.
func TryWrite(fd uintptr, b []byte) (n int, err error) { return try(syscall.SYS_WRITE, fd, b) }

func try(call, fd uintptr, b []byte) (int, error) {
	b = b[:min(len(b), mostAtOnce)]
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, syscall.EAGAIN // a constant: converting errno would allocate
		}
		return 0, errno
	}
}
