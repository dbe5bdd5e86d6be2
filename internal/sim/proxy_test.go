package sim

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet is how long a connection is watched to call it silent.
const quiet = 50 * time.Millisecond

// echo answers every line until its peer ends.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with the listener; waited for in Cleanup
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with its peer, which goleak watches
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func start(t *testing.T, target string) *Proxy {
	t.Helper()
	p, err := StartProxy(ProxyConfig{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// peer is a client that sends and expects lines.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *peer {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &peer{t, c, bufio.NewReader(c)}
}

func (p *peer) send(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p, line+"\n"); err != nil {
		p.t.Fatalf("send %q: %v", line, err)
	}
}

func (p *peer) want(line string) {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(5 * time.Second))
	got, err := p.r.ReadString('\n')
	if err != nil || got != line+"\n" {
		p.t.Fatalf("got %q, %v; want %q", got, err, line)
	}
}

func (p *peer) wantSilence() {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(quiet))
	if b, err := p.r.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("got byte %q, %v; want silence", b, err)
	}
}

func (p *peer) wantReset() {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := p.r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		p.t.Fatalf("got %v, want a reset", err)
	}
}

func TestProxyForwardsAndPassesTheEndOn(t *testing.T) {
	p := start(t, echo(t))
	c := dial(t, p)
	c.send("hello")
	c.want("hello")
	big := strings.Repeat("x", 3*chunkSize)
	c.send(big)
	c.Conn.(*net.TCPConn).CloseWrite()
	c.want(big)
	if b, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("got %q, %v; want the end of the stream", b, err)
	}
}

func TestSilentCutHoldsBytesUntilHeal(t *testing.T) {
	p := start(t, echo(t))
	old := dial(t, p)
	old.send("one")
	old.want("one")
	p.Cut(Fault{})
	old.send("two")
	fresh := dial(t, p)
	fresh.send("three")
	old.wantSilence()
	fresh.wantSilence()
	p.Heal()
	old.want("two")
	fresh.want("three")
}

func TestResetAndRefuse(t *testing.T) {
	p := start(t, echo(t))
	old := dial(t, p)
	old.send("one")
	old.want("one")
	p.Cut(Fault{Reset: true, Refuse: true})
	old.wantReset()
	c, err := net.Dial("tcp", p.Addr()) // the reset may come before Dial returns
	if err == nil {
		(&peer{t, c, bufio.NewReader(c)}).wantReset()
		c.Close()
	}
	p.Heal()
	fresh := dial(t, p)
	fresh.send("two")
	fresh.want("two")
}

func TestUnreachableTargetResets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := dial(t, start(t, l.Addr().String()))
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want the connection to end", err)
	}
}

func TestDelayAndRate(t *testing.T) {
	p := start(t, echo(t))
	c := dial(t, p)
	p.SetDelay(20*time.Millisecond, 10*time.Millisecond)
	begin := time.Now()
	c.send("slow")
	c.want("slow")
	if took := time.Since(begin); took < 40*time.Millisecond {
		t.Errorf("got a round trip of %v, want at least 40ms", took)
	}
	p.SetDelay(0, 0)
	p.SetRate(100_000)
	begin = time.Now()
	line := strings.Repeat("x", 5_000)
	c.send(line)
	c.want(line)
	if took := time.Since(begin); took < 90*time.Millisecond {
		t.Errorf("got 2 × 5,000 bytes at 100,000 B/s in %v, want about 100ms", took)
	}
}

func TestCloseEndsSilentConnectionsAndMayBeCalledTwice(t *testing.T) {
	p := start(t, echo(t))
	c := dial(t, p)
	c.send("one")
	c.want("one")
	p.Cut(Fault{})
	c.send("two")
	if err := p.Close(); err != nil {
		t.Errorf("got %v from Close", err)
	}
	c.wantReset()
	if err := p.Close(); err != nil {
		t.Errorf("got %v from the second Close", err)
	}
	if n := p.Connections(); n != 0 {
		t.Errorf("got %d connections after Close, want 0", n)
	}
}
