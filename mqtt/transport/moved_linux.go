package transport

import "golang.org/x/sys/unix"

// movedOn asks a TCP socket, since Linux 4.1.
func movedOn(fd int) (m Moved, ok bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return m, false
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	return Moved{Acked: info.Bytes_acked, Received: info.Bytes_received, Unacked: n}, err == nil
}
