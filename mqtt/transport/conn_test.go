//go:build linux

package transport

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// countedListener is a kind of listener that transport does not know: it counts the bytes that come and go.
type countedListener struct {
	Listener
	in, out atomic.Int64
}

// Accept implements Listener.
func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newCounted(c.(Conn), l), nil
}

// newCounted is all that a new kind needs: a Conn in, a Conn out.
func newCounted(c Conn, l *countedListener) net.Conn { return &countedConn{c, l} }

type countedConn struct {
	Conn
	l *countedListener
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.l.in.Add(int64(n))
	return n, err
}

func (c *countedConn) TryRead(fd uintptr, b []byte) (int, error) {
	n, err := c.Conn.TryRead(fd, b)
	c.l.in.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.l.out.Add(int64(n))
	return n, err
}

func (c *countedConn) WriteBuffers(bufs *net.Buffers) (int64, error) {
	n, err := c.Conn.WriteBuffers(bufs)
	c.l.out.Add(n)
	return n, err
}

// tryOnce reads past Read, as the broker does.
func tryOnce(t *testing.T, c Conn, b []byte) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var tried error
	if err := raw.Read(func(fd uintptr) bool { n, tried = c.TryRead(fd, b); return tried == nil }); err != nil || tried != nil {
		t.Fatal(err, tried)
	}
	return n
}

// A kind of its own is read raw, parked, and carries PROXY and WebSocket on top, with nothing but its constructor.
func TestAKindOfItsOwn(t *testing.T) {
	l := &countedListener{Listener: listen(t, "127.0.0.1:0", Config{})}
	client, accepted := pair(t, l, DialConfig{})
	server, ok := accepted.(Conn)
	if !ok || Unparked(server) != "" {
		t.Fatalf("got Conn %v, unparked %q, want a whole Conn", ok, Unparked(server))
	}
	if _, err := client.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if n := tryOnce(t, server, make([]byte, 8)); n != 3 || l.in.Load() != 3 {
		t.Errorf("got %d bytes, %d counted, want 3", n, l.in.Load())
	}
	if _, err := server.Write([]byte("de")); err != nil || l.out.Load() != 2 {
		t.Errorf("got %v, %d counted, want 2", err, l.out.Load())
	}
	var lot Lot
	defer closeOf(t, &lot)
	woken := make(chan struct{}, 1)
	if !server.Park(&lot, func() { woken <- struct{}{} }) {
		t.Fatal("got false, want parked")
	}
	if _, err := client.Write([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n")); err != nil {
		t.Fatal(err)
	}
	wantWoken(t, woken, "bytes came")
	if c, err := takeProxy(server); err != nil || c != net.Conn(server) || c.RemoteAddr().String() != "192.0.2.1:56324" {
		t.Errorf("got %v and %v, want the address of the header", c.RemoteAddr(), err)
	}
	before := l.out.Load()
	if _, err := newWSConn(server, false, nil).Write([]byte("xyz")); err != nil || l.out.Load() != before+5 {
		t.Errorf("got %v and %d bytes counted, want a header of 2 and a payload of 3", err, l.out.Load()-before)
	}
}

// hidden is a connection that hides what it wraps.
type hidden struct{ net.Conn }

// A connection that is no Conn is served, behind a proxy too, and says what it costs.
func TestAConnectionThatHidesWhatItWraps(t *testing.T) {
	client, server := pair(t, listen(t, "127.0.0.1:0", Config{}), DialConfig{})
	if _, err := client.Write([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\nabc")); err != nil {
		t.Fatal(err)
	}
	c, err := handshakeOf(Addr{Scheme: TCP}, Config{Proxy: true})(hidden{server})
	if err != nil || c.RemoteAddr().String() != "192.0.2.1:56324" {
		t.Fatalf("got %v and %v, want the address of the header", c.RemoteAddr(), err)
	}
	if got := Unparked(c); got != UnparkedWrapped {
		t.Errorf("got %q, want %q", got, UnparkedWrapped)
	}
	if ReadWaiter(c) != nil || HasInput(c) {
		t.Error("got a connection that can be asked, want one that can only be read")
	}
	b := make([]byte, 3)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "abc" {
		t.Errorf("got %q and %v, want abc", b, err)
	}
}

// What each kind can do besides what every net.Conn can.
func TestWhatEachKindCanDo(t *testing.T) {
	ours, theirs := certificate(t)
	secure := Config{TLS: ours}
	for _, k := range []struct {
		addr     string
		cfg      Config
		whole    bool // is a Conn
		waits    bool // without a buffer
		asked    bool // whether bytes are there
		unparked string
	}{
		{"tcp://127.0.0.1:0", Config{}, true, true, true, ""},
		{"unix://" + filepath.Join(t.TempDir(), "s"), Config{}, true, true, true, ""},
		{"ws://127.0.0.1:0", Config{}, false, true, true, UnparkedWebSocket},
		{"tls://127.0.0.1:0", secure, false, false, true, UnparkedTLS},
		{"wss://127.0.0.1:0", secure, false, false, true, UnparkedWebSocket},
	} {
		scheme, _, _ := strings.Cut(k.addr, ":")
		t.Run(scheme, func(t *testing.T) {
			client, server := pair(t, listen(t, k.addr, k.cfg), DialConfig{TLS: theirs})
			if _, whole := server.(Conn); whole != k.whole {
				t.Errorf("got a Conn %v, want %v", whole, k.whole)
			}
			if got := Unparked(server); got != k.unparked {
				t.Errorf("unparked: got %q, want %q", got, k.unparked)
			}
			if _, err := client.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			wait := ReadWaiter(server)
			if (wait != nil) != k.waits {
				t.Fatalf("got a waiter %v, want %v", wait != nil, k.waits)
			}
			if wait != nil && (wait() != nil || HasInput(server) != k.asked) {
				t.Errorf("got %v with a byte there, want %v", HasInput(server), k.asked)
			}
			if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
				t.Error(err)
			}
		})
	}
}
