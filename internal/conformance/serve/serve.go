// Package serve is the whole server that conformance tests talk to: real sessions, retained messages and store
// behind the engine, without a node around them. For tests only.
//
//	client → broker.Server → session.Manager, retain.Store → store.Store (a folder of the test)
//
// Whoever opens a Server closes it; its goroutines are those of the parts, and Close waits for them. In a bubble of
// testing/synctest time passes only when everybody waits, so hours cost nothing.
package serve

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/router"
	"mangrove/retain"
	"mangrove/session"
)

// Server is a whole broker without its node: what listens, routes and keeps. One test uses it.
type Server struct {
	Broker  *broker.Server    // of this run, see Restart
	Metrics *metrics.Registry // of this run

	t      *testing.T
	dir    string
	change func(*broker.Config)

	store    *store.Store
	retained *retain.Store
	sessions *session.Manager
}

// Script runs fn against a server in a bubble of its own. change, which may be nil, changes its configuration at each start.
func Script(t *testing.T, change func(*broker.Config), fn func(t *testing.T, s *Server)) {
	t.Helper()
	dir := t.TempDir() // made outside: it is removed when the bubble is over
	synctest.Test(t, func(t *testing.T) {
		s := start(t, dir, change)
		defer s.Close()
		fn(t, s)
	})
}

// Start starts a server outside any bubble, for sockets and real time. The test's end closes it.
func Start(t *testing.T, change func(*broker.Config)) *Server {
	t.Helper()
	s := start(t, t.TempDir(), change)
	t.Cleanup(s.Close)
	return s
}

func start(t *testing.T, dir string, change func(*broker.Config)) *Server {
	t.Helper()
	s := &Server{t: t, dir: dir, change: change}
	s.open()
	return s
}

// open starts everything on the test's folder.
func (s *Server) open() {
	s.t.Helper()
	var err error
	s.Metrics = metrics.New()
	s.store, err = store.Open(store.Config{Dir: s.dir})
	s.must(err)
	s.retained, err = retain.New(retain.Config{Store: s.store})
	s.must(err)
	r := router.New(router.Config{
		Life: s.store.Life(), NextID: s.store.NextID, Retained: s.retained, Metrics: s.Metrics,
	})
	s.sessions, err = session.New(session.Config{Store: s.store, Router: r, Metrics: s.Metrics})
	s.must(err)
	cfg := broker.Config{
		Router: r, Sessions: s.sessions, Retained: s.retained, Store: s.store, Authority: Doors{}, Metrics: s.Metrics,
		SysInterval: -1, Version: "test",
	}
	if s.change != nil {
		s.change(&cfg)
	}
	s.Broker, err = broker.New(cfg)
	s.must(err)
	s.must(s.Broker.Start())
}

// Pipe opens a connection to the server and returns the client's end. A Close of either end ends it.
func (s *Server) Pipe() net.Conn {
	near, far := net.Pipe()
	s.Broker.Serve(far, "test")
	return near
}

// Restart stops the server and starts it again on what it has kept.
func (s *Server) Restart() {
	s.t.Helper()
	s.Close()
	s.open()
}

// Close stops the server and waits for it. Call it once for each start.
func (s *Server) Close() {
	s.t.Helper()
	s.must(s.Broker.Close(context.Background()))
	s.sessions.Close()
	s.must(s.retained.Close())
	s.must(s.store.Close())
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
