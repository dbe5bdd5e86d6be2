package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is the server's end of a connection, driven by the test: it says what it wants next.
type peer struct {
	t    *testing.T
	conn net.Conn
	line *line // that the client has
	v    packet.Version
	buf  []byte
}

// patience is in the bubble's time, so it costs nothing.
const patience = time.Minute

func (p *peer) send(packets ...packet.Packet) {
	p.t.Helper()
	var b []byte
	for _, q := range packets {
		b = q.Append(b, p.v)
	}
	p.sendBytes(b)
}

func (p *peer) sendBytes(b []byte) {
	p.t.Helper()
	if err := p.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatalf("peer writes: %v", err)
	}
}

// next reads one packet's bytes.
func (p *peer) next(timeout time.Duration) ([]byte, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	for {
		total, _, _, err := packet.Frame(p.buf, 0)
		if err != nil {
			return nil, err
		}
		if total > 0 {
			frame := p.buf[:total]
			p.buf = p.buf[total:]
			return frame, nil
		}
		b := make([]byte, 4096)
		n, err := p.conn.Read(b)
		if n == 0 {
			return nil, err
		}
		p.buf = append(p.buf, b[:n]...)
	}
}

// want holds that exactly this packet comes next.
func (p *peer) want(why string, q packet.Packet) {
	p.t.Helper()
	got, err := p.next(patience)
	if err != nil {
		p.t.Fatalf("%s: got %v, want %v", why, err, q.Type())
	}
	if want := q.Append(nil, p.v); !bytes.Equal(got, want) {
		read, err := packet.Read(got, p.v)
		p.t.Fatalf("%s:\n got %v %+v (%v)\nwant %v %+v", why, packet.Type(got[0]>>4), read, err, q.Type(), q)
	}
}

// wantIdle holds that nothing comes.
func (p *peer) wantIdle(why string) {
	p.t.Helper()
	if got, err := p.next(time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s: got %v, %v, want nothing", why, got, err)
	}
}

// wantClosed holds that the client closes the connection.
func (p *peer) wantClosed(why string) {
	p.t.Helper()
	// A pipe whose other end is closed answers the deadline with ErrClosedPipe.
	if got, err := p.next(patience); err != io.EOF && err != io.ErrClosedPipe {
		p.t.Fatalf("%s: got %v, %v, want the connection closed", why, got, err)
	}
}

// serve makes a connection whose other end is a peer.
func serve(t *testing.T, cfg *Config) *peer {
	near, far := net.Pipe()
	p := &peer{t: t, conn: far, v: cfg.Version, line: &line{Conn: near}}
	if p.v == 0 {
		p.v = packet.V5
	}
	cfg.Dial = func(context.Context, string) (net.Conn, error) { return p.line, nil }
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = -1 // the tests of keep-alive say otherwise
	}
	t.Cleanup(func() {
		if err := far.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// line is a connection that says of itself what has moved: what the test says.
type line struct {
	net.Conn
	mu    sync.Mutex
	moved *transport.Moved // nil = it does not know
}

// Moved is what transport.MovedOn asks for.
func (l *line) Moved() (transport.Moved, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved == nil {
		return transport.Moved{}, false
	}
	return *l.moved, true
}

// send puts bytes under way, and acknowledges acked.
func (l *line) send(bytes, acked int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved == nil {
		l.moved = new(transport.Moved)
	}
	l.moved.Unacked += bytes - acked
	l.moved.Acked += uint64(acked)
}

type dialled struct {
	c   *Client
	err error
}

// dial begins to connect; the peer must answer.
func dial(cfg Config) <-chan dialled {
	got := make(chan dialled, 1)
	go func() { // ends with Dial, whose result the test takes
		c, err := Dial(context.Background(), cfg)
		got <- dialled{c, err}
	}()
	return got
}

// connect answers CONNECT with ack and returns both ends.
func connect(t *testing.T, cfg Config, ack *packet.Connack) (*Client, *peer) {
	t.Helper()
	p := serve(t, &cfg)
	got := dial(cfg)
	if _, err := p.next(patience); err != nil {
		t.Fatalf("CONNECT: %v", err)
	}
	p.send(ack)
	d := <-got
	if d.err != nil {
		t.Fatalf("Dial: %v", d.err)
	}
	t.Cleanup(func() {
		d.c.Abort()
		<-d.c.Done()
	})
	return d.c, p
}

// script runs a test in a bubble of its own time, for each version.
func script(t *testing.T, run func(t *testing.T, v packet.Version)) {
	for name, v := range map[string]packet.Version{"3.1": packet.V31, "3.1.1": packet.V311, "5.0": packet.V5} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { run(t, v) }) })
	}
}

// bubble runs a test of 5.0.
func bubble(t *testing.T, run func(t *testing.T)) { synctest.Test(t, run) }

func ack(kind packet.Type, id uint16, reason packet.ReasonCode) *packet.Ack {
	return &packet.Ack{Kind: kind, PacketID: id, Reason: reason}
}

func publishOf(topic, payload string, qos byte, id uint16) *packet.Publish {
	return &packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, PacketID: id}
}

func again(p *packet.Publish) *packet.Publish {
	p.Dup = true
	return p
}

func message(topic, payload string, qos byte) *Message {
	return &Message{Topic: topic, Payload: []byte(payload), QoS: qos}
}

// outcomes collects what done was told.
type outcomes chan outcome

type outcome struct {
	name   string
	reason packet.ReasonCode
	err    error
}

func (o outcomes) done(name string) func(packet.ReasonCode, error) {
	return func(reason packet.ReasonCode, err error) { o <- outcome{name, reason, err} }
}

func (o outcomes) want(t *testing.T, name string, reason packet.ReasonCode, err error) {
	t.Helper()
	select {
	case got := <-o:
		if got.name != name || got.reason != reason || !errors.Is(got.err, err) {
			t.Fatalf("got %+v, want %s %v %v", got, name, reason, err)
		}
	case <-time.After(patience):
		t.Fatalf("nothing is done, want %s", name)
	}
}

func (o outcomes) wantNone(t *testing.T, why string) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-o:
		t.Fatalf("%s: got %+v, want nothing", why, got)
	default:
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
