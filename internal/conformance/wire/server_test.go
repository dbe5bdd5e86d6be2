package wire

import (
	"fmt"
	"testing"

	"mangrove/internal/conformance/serve"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// server is the server of a script.
type server struct {
	*serve.Server
	t *testing.T
}

// script runs fn against a server in a bubble of its own.
func script(t *testing.T, fn func(s *server)) {
	t.Helper()
	scriptWith(t, nil, fn)
}

// scriptWith is script for a server that is configured otherwise.
func scriptWith(t *testing.T, change func(*broker.Config), fn func(s *server)) {
	t.Helper()
	serve.Script(t, change, func(t *testing.T, s *serve.Server) { fn(&server{s, t}) })
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
