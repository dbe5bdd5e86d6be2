package broker

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// socket is a client on a real connection.
type socket struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
	v  packet.Version
}

// listening starts a server on loopback sockets.
func listening(t *testing.T, change func(*Config), addrs ...string) *bench {
	t.Helper()
	b := newBench(t, func(c *Config) {
		for _, a := range addrs {
			c.Listeners = append(c.Listeners, ListenerConfig{Addr: a})
		}
		if change != nil {
			change(c)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.srv.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

func dial(t *testing.T, addr string, v packet.Version, id string, change ...func(*packet.Connect)) *socket {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	s := &socket{t: t, nc: nc, r: bufio.NewReader(nc), v: v}
	s.deadline()
	c := &packet.Connect{Version: v, ClientID: id, CleanStart: true}
	for _, f := range change {
		f(c)
	}
	s.write(c)
	if got, ok := s.read().(*packet.Connack); !ok || got.Reason != packet.Success {
		t.Fatalf("got %+v, want CONNACK", got)
	}
	return s
}

func (s *socket) deadline() {
	if err := s.nc.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) write(p packet.Packet) {
	s.t.Helper()
	if _, err := s.nc.Write(p.Append(nil, s.v)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) read() packet.Packet {
	s.t.Helper()
	var b []byte
	for {
		total, _, want, err := packet.Frame(b, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		if total > 0 {
			p, err := packet.Read(b, s.v)
			if err != nil {
				s.t.Fatal(err)
			}
			return p
		}
		more := make([]byte, max(1, want-len(b)))
		if _, err := io.ReadFull(s.r, more); err != nil {
			s.t.Fatalf("read: %v", err)
		}
		b = append(b, more...)
	}
}

func TestServeOverTCP(t *testing.T) {
	b := listening(t, nil, "127.0.0.1:0", "127.0.0.1:0")
	addrs := b.srv.Addrs()
	s, p := dial(t, addrs[0], packet.V5, "s"), dial(t, addrs[1], packet.V311, "p")
	s.write(sub(1, "a/#"))
	s.read()
	for i := range 3 {
		p.write(pub("a/b", fmt.Sprint(i)))
	}
	p.write(pub("a/big", strings.Repeat("x", 500_000)))
	for i := range 3 {
		if got := s.read().(*packet.Publish); string(got.Payload) != fmt.Sprint(i) {
			t.Errorf("got %q, want %d", got.Payload, i)
		}
	}
	if got := s.read().(*packet.Publish); len(got.Payload) != 500_000 {
		t.Errorf("got %d bytes, want 500,000", len(got.Payload))
	}
	counted := func() bool { // a step is counted when it is over, which may be after its answers were read
		stats := b.srv.Stats()
		return stats.Clients == 2 && stats.MessagesIn == 4 && stats.MessagesOut == 4 && stats.BytesIn >= 500_000 && stats.Subscriptions == 1
	}
	for deadline := time.Now().Add(5 * time.Second); !counted(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("got %+v", b.srv.Stats())
		}
	}
}

// A client that is refused reads why, although it has sent more than the server read.
func TestRefusalIsReadable(t *testing.T) {
	b := listening(t, nil, "127.0.0.1:0")
	nc, err := net.Dial("tcp", b.srv.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s := &socket{t: t, nc: nc, r: bufio.NewReader(nc), v: packet.V5}
	s.deadline()
	bytes := (&packet.Connect{Version: packet.V5, ClientID: "a", Username: "nobody", HasUser: true}).Append(nil, packet.V5)
	for range 1000 {
		bytes = pub("a", strings.Repeat("x", 200)).Append(bytes, packet.V5)
	}
	if _, err := nc.Write(bytes); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.read().(*packet.Connack); !ok || got.Reason != packet.BadUserNameOrPassword {
		t.Errorf("got %+v, want CONNACK with the reason", got)
	}
}

// A client that does not read holds up Close for CloseTimeout, or until the context ends.
func TestCloseIsBounded(t *testing.T) {
	for name, patience := range map[string]time.Duration{"patient": time.Minute, "hurried": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				slow, p := b.client(packet.V5, "slow"), b.client(packet.V5, "p")
				slow.Write(sub(1, "a"))
				slow.next()
				slow.pause(true)
				for range 10 {
					p.Write(pub("a", strings.Repeat("x", 10_000)))
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				begin := time.Now()
				err := b.srv.Close(ctx)
				if took, want := time.Since(begin), min(patience, DefaultCloseTimeout); took != want || (err != nil) != (patience < DefaultCloseTimeout) {
					t.Errorf("got %v after %v, want %v", err, took, want)
				}
				slow.pause(false)
			})
		})
	}
}

func TestStartFailsWhole(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := testRouter()
	srv, err := New(Config{Router: r, Sessions: newMemSessions(r), Listeners: []ListenerConfig{{Addr: "127.0.0.1:0"}, {Addr: taken.Addr().String()}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("got %v, want an error naming %s", err, taken.Addr())
	}
	if err := srv.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	r := testRouter()
	for name, cfg := range map[string]Config{
		"nothing":    {},
		"keep alive": {Router: r, Sessions: newMemSessions(r), KeepAliveMax: time.Millisecond},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestMaxConns(t *testing.T) {
	script(t, func(c *Config) { c.MaxConns = 1 }, func(b *bench) {
		first := b.client(packet.V5, "a")
		b.peer(packet.V5).WantClosed("one too many")
		b.wantEnd("too-many-connections")
		first.Write(&packet.Disconnect{})
		first.WantClosed("goodbye")
		b.client(packet.V5, "b")
	})
}

func TestSys(t *testing.T) {
	script(t, func(c *Config) { c.SysInterval = time.Minute }, func(b *bench) {
		synctest.Wait() // for the first figures
		s := b.client(packet.V311, "s")
		s.Write(sub(1, "$SYS/broker/clients/connected", "#"))
		s.next()
		value := func(why string) (payload string, retained bool) {
			t.Helper()
			p, ok := s.next().(*packet.Publish)
			if !ok || string(p.Topic) != "$SYS/broker/clients/connected" { // [MQTT-4.7.2-1]: "#" does not match it
				t.Fatalf("%s: got %+v, want the number of clients", why, p)
			}
			return string(p.Payload), p.Retain
		}
		if v, retained := value("on subscribing"); v != "0" || !retained {
			t.Errorf("got %s, retained %t; want 0, true", v, retained)
		}
		b.client(packet.V5, "another")
		time.Sleep(time.Minute)
		synctest.Wait()
		if v, retained := value("a minute later"); v != "2" || retained {
			t.Errorf("got %s, retained %t; want 2, false", v, retained)
		}
		if len(b.retained.byTopic) != 0 {
			t.Errorf("got %d messages in the retained store, want none", len(b.retained.byTopic))
		}
	})
}

// fullOf is a Sessions, or a Links, with so many full queues.
type fullOf struct {
	mqtt.Sessions
	mqtt.Links
	n int
}

func (f fullOf) CountFull() int { return f.n }

// $SYS tells how many queues are at their bound, of clients and of neighbours.
func TestSysTellsFullQueues(t *testing.T) {
	y := newSys(&Server{cfg: Config{Sessions: fullOf{n: 3}, Links: fullOf{n: 2}}})
	got := map[string]string{}
	for _, f := range y.stored(0) {
		got[f.name] = f.value
	}
	if got["queues/full/clients"] != "3" || got["queues/full/neighbours"] != "2" {
		t.Errorf("got %v, want 3 of clients and 2 of neighbours", got)
	}
}

// Every reason that is counted stands in the page for operators.
func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for reason, label := range reasonLabels {
		if !bytes.Contains(page, []byte("`"+label+"`")) {
			t.Errorf("%v is counted as %s, which docs/operating.md does not name", reason, label)
		}
		if strings.Contains(label, "_") {
			t.Errorf("%s is not spelt like the others", label)
		}
	}
}
