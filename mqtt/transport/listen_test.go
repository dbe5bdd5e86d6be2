package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/internal/sim"
)

const patience = 5 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// certificate makes a server's and a client's configuration that trust each other.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	cert, roots, err := sim.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: roots}
}

func listen(t *testing.T, addr string, cfg Config) Listener {
	t.Helper()
	l, err := Listen(addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeOf(t, l) })
	return l
}

// closeOf closes c and holds that it can be done twice.
func closeOf(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("close: %v", err)
	}
}

// pair connects to l and returns both ends.
func pair(t *testing.T, l Listener, cfg DialConfig) (client, server net.Conn) {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() { // ends with Accept, which the listener's Close ends
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	client, err := Dial(context.Background(), l.Addr(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeOf(t, client) })
	select {
	case server = <-accepted:
	case <-time.After(patience):
		t.Fatal("nothing was accepted")
	}
	t.Cleanup(func() { closeOf(t, server) })
	for _, c := range []net.Conn{client, server} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return client, server
}

// TestEveryScheme sends bytes both ways, in writes of many sizes.
func TestEveryScheme(t *testing.T) {
	serverTLS, clientTLS := certificate(t)
	for _, addr := range []string{"127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0",
		"ws://127.0.0.1:0/mqtt", "wss://127.0.0.1:0/mqtt", "unix://" + filepath.Join(t.TempDir(), "m.sock")} {
		t.Run(addr, func(t *testing.T) {
			l := listen(t, addr, Config{TLS: serverTLS})
			if want, _, found := strings.Cut(addr, "://"); found && l.Scheme() != want || strings.Contains(l.Addr(), ":0") || !IsLoopback(l.Addr()) {
				t.Errorf("got scheme %q, address %q", l.Scheme(), l.Addr())
			}
			client, server := pair(t, l, DialConfig{TLS: clientTLS})
			wantCarried(t, client, server)
			wantCarried(t, server, client)
			closeOf(t, client)
			if n, err := server.Read(make([]byte, 10)); n != 0 || err != io.EOF {
				t.Errorf("read after the other's close: got %d, %v, want EOF", n, err)
			}
		})
	}
}

func wantCarried(t *testing.T, from, to net.Conn) {
	t.Helper()
	sizes := []int{1, 2, 125, 126, 127, 1000, maxJoined, maxJoined + 1, 65535, 65536, 300_000}
	var want []byte
	for i, n := range sizes {
		want = append(want, bytes.Repeat([]byte{byte(i + 1)}, n)...)
	}
	wrote := make(chan error, 1)
	go func() { // ends when all is written, or by the deadline; waited for below
		rest := want
		for _, n := range sizes {
			if m, err := from.Write(rest[:n:n]); err != nil || m != n {
				wrote <- errors.Join(err, io.ErrShortWrite)
				return
			}
			rest = rest[n:]
		}
		wrote <- nil
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(to, got); err != nil {
		t.Errorf("read: %v", err)
	}
	if err := <-wrote; err != nil {
		t.Errorf("write: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the bytes that came are not those that went")
	}
}

func TestTLSNeedsACertificateAndIsRefusedInPlain(t *testing.T) {
	if _, err := Listen("tls://127.0.0.1:0", Config{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want an error about the certificate", err)
	}
	serverTLS, clientTLS := certificate(t)
	rejected := make(chan error, 10)
	l := listen(t, "tls://127.0.0.1:0", Config{TLS: serverTLS, Rejected: func(_ net.Addr, err error) { rejected <- err }})
	plain, err := net.Dial("tcp", strings.TrimPrefix(l.Addr(), "tls://"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeOf(t, plain)
	if _, err := plain.Write([]byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	wantRejected(t, rejected, ErrHandshake)
	pair(t, l, DialConfig{TLS: clientTLS}) // others are not affected
	if c, err := Dial(context.Background(), l.Addr(), DialConfig{}); err == nil {
		closeOf(t, c)
		t.Error("a certificate nobody trusts was accepted")
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	serverTLS, clientTLS := certificate(t)
	rejected := make(chan error, 10)
	l := listen(t, "tls://127.0.0.1:0", Config{TLS: serverTLS, Rejected: func(_ net.Addr, err error) { rejected <- err }})
	old := clientTLS.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if c, err := Dial(context.Background(), l.Addr(), DialConfig{TLS: old}); err == nil {
		closeOf(t, c)
		t.Error("got a connection with TLS 1.1, want at least 1.2")
	}
	wantRejected(t, rejected, ErrHandshake)
}

func wantRejected(t *testing.T, rejected <-chan error, want error) {
	t.Helper()
	select {
	case err := <-rejected:
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	case <-time.After(patience):
		t.Errorf("nothing was rejected, want %v", want)
	}
}

// TestSlowHandshakesDoNotBlock holds silent peers at the bound while an honest one gets through.
func TestSlowHandshakesDoNotBlock(t *testing.T) {
	serverTLS, clientTLS := certificate(t)
	rejected := make(chan error, 10)
	l := listen(t, "wss://127.0.0.1:0", Config{TLS: serverTLS, MaxHandshakes: 2, HandshakeTimeout: time.Hour,
		Rejected: func(_ net.Addr, err error) { rejected <- err }})
	half := l.(*shaker).half
	half.mu.Lock()
	half.grace = time.Millisecond
	half.mu.Unlock()
	for range 2 {
		silent, err := net.Dial("tcp", strings.TrimPrefix(l.Addr(), "wss://"))
		if err != nil {
			t.Fatal(err)
		}
		defer closeOf(t, silent)
	}
	pair(t, l, DialConfig{TLS: clientTLS})
	wantRejected(t, rejected, os.ErrDeadlineExceeded)
}

func TestHandshakeTimeout(t *testing.T) {
	rejected := make(chan error, 10)
	l := listen(t, "ws://127.0.0.1:0", Config{HandshakeTimeout: 20 * time.Millisecond,
		Rejected: func(_ net.Addr, err error) { rejected <- err }})
	silent, err := net.Dial("tcp", strings.TrimPrefix(l.Addr(), "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeOf(t, silent)
	wantRejected(t, rejected, context.DeadlineExceeded) // of its silence, not of the whole handshake
}

func TestMaxConns(t *testing.T) {
	rejected := make(chan error, 10)
	l := listen(t, "127.0.0.1:0", Config{MaxConns: 1, Rejected: func(_ net.Addr, err error) { rejected <- err }})
	_, first := pair(t, l, DialConfig{})
	accepted := make(chan net.Conn, 1)
	go func() { // ends with the connection below
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	second, err := Dial(context.Background(), l.Addr(), DialConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeOf(t, second)
	wantRejected(t, rejected, ErrFull)
	closeOf(t, first)
	third, err := Dial(context.Background(), l.Addr(), DialConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeOf(t, third)
	select {
	case c := <-accepted:
		closeOf(t, c)
	case <-time.After(patience):
		t.Error("nothing was accepted after a place became free")
	}
}

// flaky fails to accept a few times, as when there are no file descriptors.
type flaky struct {
	net.Listener
	failures int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, syscall.EMFILE
	}
	return f.Listener.Accept()
}

func TestAcceptOutlastsErrors(t *testing.T) {
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, cfg := Addr{Scheme: TCP, Host: raw.Addr().String()}, Config{}
	if err := cfg.check(a); err != nil {
		t.Fatal(err)
	}
	l := newSocket(&flaky{raw, 3}, a, cfg)
	defer closeOf(t, l)
	pair(t, l, DialConfig{})
}

func TestCloseUnblocksAccept(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "ws://127.0.0.1:0"} {
		l, err := Listen(addr, Config{HandshakeTimeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		silent, err := net.Dial("tcp", l.Addr()[strings.Index(l.Addr(), "//")+2:])
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { // ends with Close below
			for {
				c, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				closeOf(t, c)
			}
		}()
		if s, shakes := l.(*shaker); shakes {
			wantHalfOpen(t, s.half)
		}
		hangs := time.AfterFunc(patience, func() { closeOf(t, silent) }) // then the handshake ends, and Close with it
		closeOf(t, l)
		closeOf(t, l)
		if !hangs.Stop() {
			t.Errorf("%s: Close waits for a handshake, want it to end the handshake", addr)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: got %v, want net.ErrClosed", addr, err)
		}
		closeOf(t, silent)
	}
}

// wantHalfOpen waits until a handshake is under way.
func wantHalfOpen(t *testing.T, h *halfOpen) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		n := h.under.Len()
		h.mu.Unlock()
		if n > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no handshake began")
		}
	}
}

func TestUnixSocketLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	closeOf(t, stale) // as if the process had died
	l := listen(t, "unix://"+path, Config{})
	if _, err := Listen("unix://"+path, Config{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second listener: got %v, want an error that says in use", err)
	}
	pair(t, l, DialConfig{}) // the first one is not hurt

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix://"+file, Config{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in the way: got %v, want an error that says so", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closeOf(t, silent)
	for _, scheme := range []string{"ws", "tls", "wss"} {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := Dial(ctx, scheme+"://"+silent.Addr().String(), DialConfig{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context canceled", scheme, err)
		}
	}
}

func TestReadWaiter(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "ws://127.0.0.1:0"} {
		client, server := pair(t, listen(t, addr, Config{}), DialConfig{})
		wait := ReadWaiter(server)
		if wait == nil {
			t.Fatalf("%s: got no waiter", addr)
		}
		if err := server.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: idle: got %v, want a deadline", addr, err)
		}
		if err := server.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := client.Write([]byte("ab")); err != nil {
				t.Fatal(err)
			}
			for range 2 { // nothing is taken by waiting
				if err := wait(); err != nil {
					t.Errorf("%s: got %v", addr, err)
				}
			}
			if _, err := io.ReadFull(server, make([]byte, 2)); err != nil {
				t.Errorf("%s: %v", addr, err)
			}
		}
		closeOf(t, client)
		if err := wait(); err != nil {
			t.Errorf("%s: after the end: got %v, want nil and EOF from Read", addr, err)
		}
	}
}
