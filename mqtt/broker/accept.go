package broker

import (
	"errors"
	"net"

	"mangrove/mqtt/transport"
)

// listener is one place to accept connections.
type listener struct {
	transport.Listener
	name   string
	grants *grants
}

func (s *Server) listen(cfg ListenerConfig) (*listener, error) {
	l, err := transport.Listen(cfg.Addr, transport.Config{
		TLS: cfg.TLS, Proxy: cfg.Proxy, HandshakeTimeout: s.cfg.ConnectTimeout, MaxConns: s.cfg.MaxConns, Log: s.log,
		Rejected: func(addr net.Addr, err error) {
			s.metrics.closed(rejection(err))
			s.tell("connection refused", rejection(err), err.Error(), addr)
		},
	})
	if err != nil {
		return nil, err
	}
	return &listener{Listener: l, name: cfg.Addr, grants: s.cfg.grant(cfg.Limits)}, nil
}

// rejection names why a connection did not become one, for the metric of closed connections.
func rejection(err error) string {
	switch {
	case errors.Is(err, transport.ErrFull):
		return "too-many-connections"
	case errors.Is(err, transport.ErrHandshake):
		return "handshake-failed"
	}
	return "other"
}

// accept takes connections until the listener is closed.
func (s *Server) accept(l *listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return // net.ErrClosed is the only error
		}
		s.serve(nc, l.name, l.grants)
	}
}

// Serve takes over a connection that was accepted elsewhere; name is the listener's, for the
// Authority. It returns at once. A closed or full Server closes nc.
func (s *Server) Serve(nc net.Conn, name string) { s.serve(nc, name, s.grants) }

func (s *Server) serve(nc net.Conn, name string, g *grants) {
	s.metrics.opened.Inc()
	s.unparked.report(nc, name)
	c := newConn(s, name, g, nc)
	if why := s.enter(c); why != "" {
		nc.Close() // an error means that it is closed already
		s.metrics.closed(why)
		if !usual(why) {
			s.tell("connection refused", why, "limits.connections", nc.RemoteAddr())
		}
		return
	}
}

// enter starts c's reader, or tells why not. The reader ends with its connection, which Close ends.
func (s *Server) enter(c *conn) (why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return "server-shutting-down"
	case len(s.conns) >= s.cfg.MaxConns:
		return "too-many-connections"
	}
	s.conns[c] = struct{}{}
	s.running.Add(1) // until exit
	go c.serve()     // ends with its connection, or when that is parked
	return ""
}

func (s *Server) exit(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.running.Done()
}
