package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// shaker is a listener whose connections begin with a handshake. The handshakes run beside the
// accepting, each with its own goroutine, so that a slow one holds up nobody.
//
//	accept loop ─enter→ half-open ─handshake─→ ready ─→ Accept
type shaker struct {
	*socket
	handshake func(net.Conn) (net.Conn, error)
	timeout   time.Duration
	half      *halfOpen
	ready     chan net.Conn
	running   sync.WaitGroup // the accept loop and the handshakes
}

func newShaker(s *socket, cfg Config) *shaker {
	l := &shaker{socket: s, timeout: cfg.HandshakeTimeout, handshake: handshakeOf(s.addr, cfg),
		half: newHalfOpen(cfg.MaxHandshakes), ready: make(chan net.Conn)}
	l.running.Go(l.accept) // ends when the socket is closed; Close waits for it
	return l
}

// handshakeOf is what a connection of the address's scheme begins with.
func handshakeOf(a Addr, cfg Config) func(net.Conn) (net.Conn, error) {
	return func(c net.Conn) (net.Conn, error) {
		if cfg.Proxy {
			var err error
			if c, err = takeProxy(c); err != nil {
				return nil, err
			}
		}
		if a.Secure() {
			secure := tls.Server(c, cfg.TLS)
			if err := secure.Handshake(); err != nil {
				return nil, err
			}
			c = secure
		}
		if !a.web() {
			return c, nil
		}
		return upgrade(c, a.Path)
	}
}

func (l *shaker) accept() {
	for {
		c, err := l.socket.Accept()
		if err != nil {
			return
		}
		if err := c.SetDeadline(time.Now().Add(mostPatience * l.timeout)); err != nil {
			l.reject(c, err)
			continue
		}
		o := l.half.enter(c, l.closed)
		if o == nil {
			l.reject(c, net.ErrClosed)
			return
		}
		l.running.Go(func() { l.shake(o) }) // ends by the handshake's deadline or Close; Close waits for it
	}
}

// mostPatience is how many times the handshake's timeout a handshake may take, where bytes move.
const mostPatience = 4

// shake does one handshake and hands the connection to Accept.
func (l *shaker) shake(o *opening) {
	defer l.half.leave(o)
	moving, stop := WhileMoving(context.Background(), o.conn, l.timeout)
	defer stop()
	interrupted := context.AfterFunc(moving, func() { abandon(o.conn) })
	c, err := l.handshake(o.conn)
	if !interrupted() {
		err = errors.Join(err, context.Cause(moving))
	}
	if err == nil {
		err = o.conn.SetDeadline(time.Time{})
	}
	if err != nil {
		l.reject(o.conn, fmt.Errorf("%w: %w", ErrHandshake, err))
		return
	}
	l.half.finish(o)
	select {
	case l.ready <- c:
	case <-l.closed:
		l.reject(o.conn, net.ErrClosed)
	}
}

func (l *shaker) reject(c net.Conn, err error) {
	l.rejected(c.RemoteAddr(), err)
	l.log.Debug("connection closed", "remote", c.RemoteAddr(), "reason", err)
	if err := c.Close(); err != nil {
		l.log.Debug("close of a rejected connection failed", "err", err)
	}
}

// Accept implements Listener.
func (l *shaker) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements Listener.
func (l *shaker) Close() error {
	err := l.socket.Close()
	l.half.closeAll()
	l.running.Wait()
	return err
}
