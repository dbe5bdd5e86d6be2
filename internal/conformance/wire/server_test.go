package wire

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
	"mangrove/retain"
	"mangrove/session"
)

// server is a whole broker without its node: what listens, routes and keeps.
type server struct {
	t       *testing.T
	dir     string
	change  func(*broker.Config)
	metrics *metrics.Registry

	store    *store.Store
	retained *retain.Store
	sessions *session.Manager
	srv      *broker.Server
}

// script runs fn against a server in a bubble of its own.
func script(t *testing.T, fn func(s *server)) {
	t.Helper()
	scriptWith(t, nil, fn)
}

// scriptWith is script for a server that is configured otherwise.
func scriptWith(t *testing.T, change func(*broker.Config), fn func(s *server)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, dir: dir, change: change}
		s.open()
		defer s.close()
		fn(s)
	})
}

// versions are those that a server speaks.
var versions = []packet.Version{packet.V31, packet.V311, packet.V5}

// eachVersion runs fn once for each version, all against servers of their own.
func eachVersion(t *testing.T, fn func(s *server, v packet.Version)) {
	t.Helper()
	eachVersionWith(t, nil, fn)
}

func eachVersionWith(t *testing.T, change func(*broker.Config), fn func(s *server, v packet.Version)) {
	t.Helper()
	for _, v := range versions {
		t.Run(fmt.Sprint("level ", v), func(t *testing.T) {
			scriptWith(t, change, func(s *server) { fn(s, v) })
		})
	}
}

// open starts everything on the test's folder.
func (s *server) open() {
	s.t.Helper()
	var err error
	s.metrics = metrics.New()
	s.store, err = store.Open(store.Config{Dir: s.dir})
	s.must(err)
	s.retained, err = retain.New(retain.Config{Store: s.store})
	s.must(err)
	router := broker.NewRouter(broker.RouterConfig{
		StoreID: s.store.ID(), NextID: s.store.NextID, Retained: s.retained, Metrics: s.metrics,
	})
	s.sessions, err = session.New(session.Config{Store: s.store, Router: router, Metrics: s.metrics})
	s.must(err)
	cfg := broker.Config{
		Router: router, Sessions: s.sessions, Retained: s.retained, Store: s.store, Authority: doors{}, Metrics: s.metrics,
		SysInterval: -1, Version: "test",
	}
	if s.change != nil {
		s.change(&cfg)
	}
	s.srv, err = broker.New(cfg)
	s.must(err)
	s.must(s.srv.Start())
}

func (s *server) close() {
	s.t.Helper()
	s.must(s.srv.Close(context.Background()))
	s.sessions.Close()
	s.must(s.retained.Close())
	s.must(s.store.Close())
}

// restart stops the server and starts it again on what it has kept.
func (s *server) restart() {
	s.t.Helper()
	s.close()
	s.open()
}

func (s *server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// doors is an Authority: user "nobody" is unknown, client id "bad id" not valid, topics below "secret" are closed.
type doors struct{}

func (doors) Authenticate(c *mqtt.Client) error {
	switch {
	case c.Username == "nobody":
		return &packet.Error{Reason: packet.BadUserNameOrPassword, Detail: "not known"}
	case c.ID == "bad id":
		return &packet.Error{Reason: packet.ClientIdentifierNotValid, Detail: "has a space"}
	}
	return nil
}

func (doors) MayPublish(_ *mqtt.Client, t string) bool { return !slices.Contains(closedTopics, t) }
func (doors) MaySubscribe(_ *mqtt.Client, f string) bool {
	return !slices.Contains(closedTopics, f)
}

var closedTopics = []string{"secret"}
