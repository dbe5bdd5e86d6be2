package broker

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mangrove/internal/sim"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// The engine does the same over every transport, although it waits for bytes in three different ways.
func TestServeOverEveryTransport(t *testing.T) { // [MQTT-4.2.0-1] [MQTT311-7.1.1-1]
	cert, pool := selfSigned(t)
	b := listening(t, func(c *Config) {
		for _, addr := range []string{"127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0", "unix://" + filepath.Join(t.TempDir(), "s")} {
			c.Listeners = append(c.Listeners, ListenerConfig{Addr: addr, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
		}
	})
	var all []*socket
	for _, addr := range b.srv.Addrs() {
		nc, err := transport.Dial(t.Context(), addr, transport.DialConfig{TLS: &tls.Config{RootCAs: pool}})
		if err != nil {
			t.Fatalf("dial %s: %v", addr, err)
		}
		t.Cleanup(func() { nc.Close() })
		s := &socket{t: t, nc: nc, r: bufio.NewReader(nc), v: packet.V5}
		s.deadline()
		s.write(&packet.Connect{Version: packet.V5, ClientID: addr, CleanStart: true})
		s.read()
		s.write(sub(1, "t 1"))
		s.read()
		all = append(all, s)
	}
	for i, p := range all {
		big := strings.Repeat("x", 100_000)
		p.write(pubQ(1, 1, "t", big))
		for j, s := range all {
			for range map[bool]int{true: 2, false: 1}[i == j] { // the publisher gets its PUBACK too
				switch got := s.read().(type) {
				case *packet.Publish:
					if string(got.Payload) != big {
						t.Errorf("%s to %s: got %d bytes, want %d", b.srv.Addrs()[i], b.srv.Addrs()[j], len(got.Payload), len(big))
					}
				case *packet.Ack:
					if i != j || got.Kind != packet.PUBACK {
						t.Errorf("got %+v", got)
					}
				}
			}
		}
	}
	for _, s := range all {
		s.write(&packet.Disconnect{})
		if _, err := s.r.ReadByte(); err == nil {
			t.Errorf("got a byte after DISCONNECT, want the end of the connection")
		}
	}
}

// A TLS client on the plain port is told nothing and named in the counter; a plain client on the TLS port too.
func TestTLSAndPlainMistaken(t *testing.T) {
	cert, pool := selfSigned(t)
	b := listening(t, func(c *Config) {
		c.Listeners = []ListenerConfig{{Addr: "127.0.0.1:0"}, {Addr: "tls://127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}}
	})
	plain, secure := b.srv.Addrs()[0], strings.TrimPrefix(b.srv.Addrs()[1], "tls://")
	if c, err := tls.Dial("tcp", plain, &tls.Config{RootCAs: pool}); err == nil {
		c.Close()
		t.Errorf("got a TLS handshake on the plain port")
	}
	nc, err := net.Dial("tcp", secure)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s := &socket{t: t, nc: nc, r: bufio.NewReader(nc), v: packet.V5}
	s.deadline()
	s.write(&packet.Connect{Version: packet.V5, CleanStart: true})
	for { // an alert, perhaps, and then the end
		if _, err := s.r.ReadByte(); err != nil {
			break
		}
	}
	for _, why := range []string{"tls-on-plain-port", "handshake-failed"} {
		eventually(t, why, func() bool {
			return b.metrics.Counter(`mangrove_connections_closed_total{reason="`+why+`"}`).Get() == 1
		})
	}
}

// eventually polls until is is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 5 s", what)
		}
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	cert, pool, err := sim.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return cert, pool
}
