package paho

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"mangrove/internal/conformance/serve"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/transport"
)

// listening starts a server with one listener, of those limits, outside any bubble.
func listening(t *testing.T, limits broker.Limits) *server {
	t.Helper()
	s := serve.Start(t, func(c *broker.Config) {
		c.Listeners = []broker.ListenerConfig{{Addr: "127.0.0.1:0", Limits: limits}}
	})
	return &server{s, t, func() net.Conn { return dialTo(t, s.Broker.Addrs()[0], nil) }}
}

func dialTo(t *testing.T, addr string, trust *tls.Config) net.Conn {
	t.Helper()
	conn, err := transport.Dial(context.Background(), addr, transport.DialConfig{TLS: trust})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
