package paho

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"mangrove/internal/conformance/serve"
	"mangrove/internal/sim"
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

// everywhere starts a server that listens on every transport, and returns it once for each, by its name.
func everywhere(t *testing.T) map[string]*server {
	t.Helper()
	cert, trust := certificate(t)
	addrs := []string{"127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0", "unix://" + filepath.Join(t.TempDir(), "s")}
	s := serve.Start(t, func(c *broker.Config) {
		for _, addr := range addrs {
			c.Listeners = append(c.Listeners, broker.ListenerConfig{Addr: addr, TLS: cert})
		}
	})
	all := map[string]*server{}
	for i, addr := range s.Broker.Addrs() {
		name, _, named := strings.Cut(addrs[i], "://")
		if !named {
			name = "tcp"
		}
		all[name] = &server{s, t, func() net.Conn { return dialTo(t, addr, trust) }}
	}
	return all
}

func dialTo(t *testing.T, addr string, trust *tls.Config) net.Conn {
	t.Helper()
	conn, err := transport.Dial(context.Background(), addr, transport.DialConfig{TLS: trust})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// certificate makes a server's and a client's configuration that trust each other.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	cert, roots, err := sim.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: roots}
}

// chopped writes a few bytes at a time, so that packets cross the borders of segments, records and frames.
type chopped struct {
	net.Conn
	most int
}

func (c chopped) Write(b []byte) (written int, err error) {
	for written < len(b) {
		n, err := c.Conn.Write(b[written:min(len(b), written+c.most)])
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}
