package transport

import (
	"time"

	"golang.org/x/sys/unix"
)

// movedOn asks a TCP socket, since Linux 4.9.
func movedOn(fd int) (m Moved, ok bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return m, false
	}
	n, ok := unackedOn(fd)
	return Moved{Acked: info.Bytes_acked, Received: info.Bytes_received, Unacked: n,
		RTT: time.Duration(info.Min_rtt) * time.Microsecond}, ok
}

func unackedOn(fd int) (n int, ok bool) {
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	return n, err == nil
}
