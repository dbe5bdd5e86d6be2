package transport

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// How long accepting rests after an error that may pass, such as EMFILE: doubled up to the maximum.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// socket is a listening tcp or unix socket. It is a whole Listener, and what a shaker builds on.
type socket struct {
	raw      net.Listener
	addr     Addr
	max      int64
	open     atomic.Int64
	rejected func(net.Addr, error)
	log      *slog.Logger

	once   sync.Once
	closed chan struct{}
	err    error // of closing raw, set before closed is closed
}

func newSocket(raw net.Listener, a Addr, cfg Config) *socket {
	return &socket{raw: raw, addr: a, max: int64(cfg.MaxConns), rejected: cfg.Rejected,
		log: cfg.Log.With("listener", a.String()), closed: make(chan struct{})}
}

// Accept implements Listener.
func (s *socket) Accept() (net.Conn, error) {
	var pause time.Duration
	for {
		c, err := s.raw.Accept()
		switch {
		case err == nil && s.take():
			return newConn(c.(socketConn), &s.open), nil // listenSocket makes no others
		case err == nil:
			s.rejected(c.RemoteAddr(), ErrFull)
			s.log.Debug("connection closed", "remote", c.RemoteAddr(), "reason", ErrFull)
			pause = 0
			if err := c.Close(); err != nil {
				s.log.Debug("close of a rejected connection failed", "err", err)
			}
		case errors.Is(err, net.ErrClosed):
			return nil, net.ErrClosed
		default:
			pause = min(max(2*pause, minAcceptPause), maxAcceptPause)
			s.log.Warn("accept failed, waiting", "err", err, "pause", pause)
			if !s.sleep(pause) {
				return nil, net.ErrClosed
			}
		}
	}
}

// sleep answers false when the listener was closed meanwhile.
func (s *socket) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed:
		return false
	}
}

func (s *socket) take() bool {
	if s.open.Add(1) <= s.max {
		return true
	}
	s.open.Add(-1)
	return false
}

// Addr implements Listener.
func (s *socket) Addr() string { return s.addr.String() }

// Scheme implements Listener.
func (s *socket) Scheme() string { return s.addr.Scheme }

// Close implements Listener.
func (s *socket) Close() error {
	s.once.Do(func() {
		s.err = s.raw.Close()
		close(s.closed)
	})
	<-s.closed
	return s.err
}
