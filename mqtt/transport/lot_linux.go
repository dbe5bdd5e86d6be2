package transport

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Lot is where idle connections are parked: one goroutine watches all of them, so that none needs a
// goroutine, and its stack, of its own. The zero Lot is empty. Safe for concurrent use.
//
//	Conn.Park ─→ epoll (once each) ──readable, ended──→ taken out ─→ wake
//	                                └─ conn.Close ────→ taken out ─→ wake
//
// Its goroutine and its descriptor exist from the first Park to Close.
type Lot struct {
	mu     sync.Mutex
	spots  map[int32]*spot // by descriptor
	epoll  *os.File        // Go's poller waits for it
	fd     int             // of epoll
	broken bool            // closed, or epoll could not be had
	done   chan struct{}   // closed when the goroutine has ended
}

// spot is one parked connection.
type spot struct {
	lot  *Lot
	fd   int32 // guarded by Lot.mu: a close may come while it is parked
	wake func()
}

// parker is what a connection needs for being parked.
type parker struct {
	spot   atomic.Pointer[spot]
	closed atomic.Bool
}

// lotEvents is how many connections are woken per look.
const lotEvents = 128

// parks says that connections can be parked on this system.
const parks = true

// Park implements Conn.
func (c *conn) Park(lot *Lot, wake func()) bool { return lot.park(&c.parker, c.direct.raw, wake) }

func (l *Lot) park(p *parker, raw syscall.RawConn, wake func()) (parked bool) {
	s := &spot{lot: l, wake: wake}
	p.spot.Store(s)
	err := raw.Control(func(fd uintptr) { parked = l.add(s, int32(fd)) })
	if err != nil || !parked {
		p.spot.Store(nil)
		return false
	}
	if p.closed.Load() && l.take(s) { // closed meanwhile, by one who did not see it parked
		return false
	}
	return true
}

// leave takes a connection out that is about to be closed; wake, when not nil, is to be called after that. Before,
// because the descriptor may be another connection's as soon as it is closed.
func (p *parker) leave() (wake func()) {
	p.closed.Store(true)
	if s := p.spot.Swap(nil); s != nil && s.lot.take(s) {
		return s.wake
	}
	return nil
}

func (l *Lot) add(s *spot, fd int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.openLocked() {
		return false
	}
	s.fd = fd
	l.spots[s.fd] = s
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: s.fd}
	err := unix.EpollCtl(l.fd, unix.EPOLL_CTL_MOD, int(s.fd), &ev) // it was here before, most often
	if errors.Is(err, unix.ENOENT) {
		err = unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, int(s.fd), &ev)
	}
	if err != nil {
		delete(l.spots, s.fd)
	}
	return err == nil
}

// openLocked makes the epoll and its goroutine, which Close ends and waits for.
func (l *Lot) openLocked() bool {
	if l.broken || l.epoll != nil {
		return !l.broken
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		l.broken = true // nothing is parked then
		return false
	}
	l.fd, l.epoll = fd, os.NewFile(uintptr(fd), "epoll")
	l.spots, l.done = map[int32]*spot{}, make(chan struct{})
	go l.watch(l.epoll, l.done)
	return true
}

// take takes s out; false = somebody else has.
func (l *Lot) take(s *spot) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spots[s.fd] != s {
		return false
	}
	delete(l.spots, s.fd)
	return true
}

// watch wakes connections until the lot is closed.
func (l *Lot) watch(epoll *os.File, done chan struct{}) {
	defer close(done)
	raw, err := epoll.SyscallConn()
	if err != nil {
		return // closed already
	}
	var events [lotEvents]unix.EpollEvent
	var n int
	look := func(fd uintptr) bool {
		for {
			if n, err = unix.EpollWait(int(fd), events[:], 0); err != unix.EINTR {
				return n != 0
			}
		}
	}
	for {
		if raw.Read(look) != nil {
			return // closed
		}
		if err != nil {
			panic(fmt.Sprintf("BUG: epoll_wait: %v", err)) // its arguments are right, or never were
		}
		for _, ev := range events[:n] {
			l.wake(ev.Fd)
		}
	}
}

func (l *Lot) wake(fd int32) {
	l.mu.Lock()
	s := l.spots[fd]
	delete(l.spots, fd)
	l.mu.Unlock()
	if s != nil { // else it left by itself
		s.wake()
	}
}

// Close ends the goroutine and waits for it. Connections still parked are not woken. May be called twice.
func (l *Lot) Close() error {
	l.mu.Lock()
	l.broken = true
	epoll, done := l.epoll, l.done
	l.epoll = nil
	l.mu.Unlock()
	if epoll == nil {
		return nil
	}
	err := epoll.Close()
	<-done
	return err
}
