package paho

import (
	"net"
	"testing"

	"go.uber.org/goleak"

	"mangrove/internal/conformance/serve"
	"mangrove/mqtt/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the server of a script, and how its clients reach it.
type server struct {
	*serve.Server
	t    *testing.T
	dial func() net.Conn
}

// script runs fn against a server in a bubble of its own.
func script(t *testing.T, fn func(s *server)) {
	t.Helper()
	scriptWith(t, nil, fn)
}

// scriptWith is script for a server that is configured otherwise.
func scriptWith(t *testing.T, change func(*broker.Config), fn func(s *server)) {
	t.Helper()
	t.Parallel()
	serve.Script(t, change, func(t *testing.T, s *serve.Server) { fn(&server{s, t, s.Pipe}) })
}

// between are the ways from one connection to the next.
var between = map[string]func(*server){"reconnected": func(*server) {}, "restarted": (*server).Restart}

// eachWay runs fn once for each of between, all against servers of their own.
func eachWay(t *testing.T, fn func(s *server, between func(*server))) {
	t.Helper()
	t.Parallel()
	for name, way := range between {
		t.Run(name, func(t *testing.T) { script(t, func(s *server) { fn(s, way) }) })
	}
}
