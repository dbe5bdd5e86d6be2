package transport

import (
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"time"
)

// What the other end's kernel has taken counts as acknowledged, also where nobody reads; the rest is unacknowledged.
func TestMovedOn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	near, far := connected(t)
	far.SetReadBuffer(4 << 10)
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"tcp":       func(c net.Conn) net.Conn { return c },
		"tls":       func(c net.Conn) net.Conn { return tls.Client(c, &tls.Config{}) },
		"websocket": func(c net.Conn) net.Conn { return newWSConn(c, true, nil) },
	} {
		if m, ok := MovedOn(wrap(near)); !ok || m.Received != 0 || m.Unacked != 0 {
			t.Errorf("%s: got %+v and %v of a fresh connection, want nothing moved", name, m, ok)
		}
	}
	before, _ := MovedOn(near)
	if _, err := near.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { m, _ := MovedOn(near); return m.Since(before) == 1000 && m.Unacked == 0 })
	if m, ok := MovedOn(far); !ok || m.Received != 1000 {
		t.Errorf("far end: got %+v, %v, want 1000 received", m, ok)
	}
	near.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := near.Write(make([]byte, 16<<20))
	if err == nil {
		t.Fatal("nobody reads, and 16 MiB were written")
	}
	m, _ := MovedOn(near)
	if m.Unacked == 0 || int(m.Since(before))+m.Unacked != 1000+n {
		t.Errorf("got %+v after %d bytes written", m, 1000+n)
	}
	near.Close()
	if _, ok := MovedOn(near); ok {
		t.Error("a closed connection tells what moved")
	}
}

func TestMovedOnNoSocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, ok := MovedOn(a); ok {
		t.Error("a pipe has a kernel")
	}
}

// connected is a TCP connection over loopback.
func connected(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

func until(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}
