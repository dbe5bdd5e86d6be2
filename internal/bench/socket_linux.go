package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"mangrove/mqtt/transport"
)

// event is what is known of one socket after a wait.
type event struct {
	tag                int32
	readable, writable bool
}

// poller waits for many sockets. For the loop's goroutine only.
type poller struct {
	fd  int
	raw []unix.EpollEvent
}

// maxEvents is how many sockets one wait reports; the rest comes with the next.
const maxEvents = 1024

// newPoller also binds the caller's goroutine to its thread, whose timers it makes precise.
func newPoller() (*poller, error) {
	runtime.LockOSThread()
	// The default slack of 50 µs would show in every open-loop latency.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("set timer slack: %w", err)
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return &poller{fd: fd, raw: make([]unix.EpollEvent, maxEvents)}, nil
}

func (p *poller) close() {
	unix.Close(p.fd)
	runtime.UnlockOSThread()
}

func (p *poller) add(fd int, tag int32, write bool) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, tag, write)
}

func (p *poller) change(fd int, tag int32, write bool) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, tag, write)
}

// forget stops watching a socket that stays open.
func (p *poller) forget(fd int) error {
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
		return fmt.Errorf("stop watching socket: %w", err)
	}
	return nil
}

func (p *poller) control(op, fd int, tag int32, write bool) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: tag}
	if write {
		ev.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(p.fd, op, fd, &ev); err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

// wait appends what is ready to events, after at most timeout. epoll counts milliseconds; what is finer
// is left to ppoll.
func (p *poller) wait(events []event, timeout time.Duration) ([]event, error) {
	ms := int(timeout / time.Millisecond)
	if timeout > 0 && ms < 10 {
		ts := unix.NsecToTimespec(int64(timeout))
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		if _, err := unix.Ppoll(fds, &ts, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return events, fmt.Errorf("wait for sockets: %w", err)
		}
		ms = 0
	}
	n, err := unix.EpollWait(p.fd, p.raw, ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return events, fmt.Errorf("wait for sockets: %w", err)
	}
	for _, ev := range p.raw[:max(n, 0)] {
		ended := ev.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0
		events = append(events, event{tag: ev.Fd, readable: ended || ev.Events&unix.EPOLLIN != 0, writable: ended || ev.Events&unix.EPOLLOUT != 0})
	}
	return events, nil
}

// dial begins to connect. The socket becomes writable when that is over; see connectError. An invalid
// local address lets the kernel choose.
func dial(to netip.AddrPort, local netip.Addr) (fd int, err error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if err := begin(fd, to, local); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func begin(fd int, to netip.AddrPort, local netip.Addr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("set no delay: %w", err)
	}
	if local.IsValid() {
		// The port is chosen when connecting, so that each pair of addresses has all ports.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return fmt.Errorf("bind without port: %w", err)
		}
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(local, 0))); err != nil {
			return fmt.Errorf("bind to %v: %w", local, err)
		}
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect to %v: %w", to, err)
	}
	return nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// connectError is how dial ended.
func connectError(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

// readSocket reads once. Nothing there is 0, nil.
func readSocket(fd int, b []byte) (int, error) {
	n, err := transport.TryRead(uintptr(fd), b)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, errClosed
	}
	return n, nil
}

// writeSocket writes once. No room is 0, nil.
func writeSocket(fd int, b []byte) (int, error) {
	n, err := transport.TryWrite(uintptr(fd), b)
	if errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	return n, err
}

func closeSocket(fd int) { unix.Close(fd) } // nothing to do about an error: the descriptor is gone either way

// MaxSockets is how many sockets this process may have.
func MaxSockets() (int, error) {
	const others = 32 // standard streams, epoll, the runtime's own
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, fmt.Errorf("read the open-files limit: %w", err)
	}
	return int(min(r.Cur, 1<<30)) - others, nil
}
