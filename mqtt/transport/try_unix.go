//go:build unix && !linux

package transport

import "syscall"

// TryRead reads once from a socket that does not block; syscall.EAGAIN = there is nothing now, 0 and nil = its end.
func TryRead(fd uintptr, b []byte) (n int, err error) { return try(syscall.Read, fd, b) }

// TryWrite writes once to a socket that does not block; syscall.EAGAIN = there is no room now.
func TryWrite(fd uintptr, b []byte) (n int, err error) { return try(syscall.Write, fd, b) }

func try(call func(int, []byte) (int, error), fd uintptr, b []byte) (n int, err error) {
	for {
		if n, err = call(int(fd), b); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
