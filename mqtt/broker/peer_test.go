package broker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/internal/metrics"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/router"
	"mangrove/mqtt/transport"
)

// bench is a server under test, inside a synctest bubble.
type bench struct {
	t        *testing.T
	srv      *Server
	router   *router.Router
	sessions *memSessions
	retained *memRetained
	metrics  *metrics.Registry
}

// script runs fn against a server in a bubble of its own, where time passes only when all wait.
func script(t *testing.T, change func(*Config), fn func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, change)
		defer func() {
			if err := b.srv.Close(context.Background()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}()
		fn(b)
	})
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	return newBenchOn(t, router.Config{}, change)
}

// newBenchOn is newBench with a router of its own configuration.
func newBenchOn(t *testing.T, rc router.Config, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, metrics: metrics.New(), retained: &memRetained{byTopic: map[string]*mqtt.Message{}}}
	rc.Life, rc.NextID, rc.Retained, rc.Metrics = 7, counter(), b.retained, b.metrics
	b.router = router.New(rc)
	b.sessions = newMemSessions(b.router)
	cfg := Config{
		Router: b.router, Sessions: b.sessions, Retained: b.retained, Authority: rules{}, Metrics: b.metrics,
		SysInterval: -1, Version: "test",
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if b.srv, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := b.srv.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

func testRouter() *router.Router { return router.New(router.Config{Life: 7, NextID: counter()}) }

// counter is a NextID.
func counter() func() uint64 {
	var n atomic.Uint64
	return func() uint64 { return n.Add(1) }
}

// peer is the far end of one connection, driven packet by packet.
type peer struct {
	t  *testing.T
	b  *bench
	nc net.Conn
	v  packet.Version

	mu     sync.Mutex
	got    []packet.Packet
	closed bool
	paused chan struct{} // closed to read on; nil = reads
	acked  uint64        // bytes that its kernel says it has taken; 0 = it has none
}

// line is the server's end of a connection: what has moved is what the test says.
type line struct {
	net.Conn
	p *peer
}

// Moved is what transport.MovedOn asks for.
func (l *line) Moved() (transport.Moved, bool) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return transport.Moved{Acked: l.p.acked, Unacked: 1}, l.p.acked > 0
}

// ack makes the peer's kernel take n bytes more.
func (p *peer) ack(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked += n
}

// pause makes the peer stop reading, after at most one more chunk, until it is called with false.
func (p *peer) pause(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if yes {
		p.paused = make(chan struct{})
	} else {
		close(p.paused)
		p.paused = nil
	}
}

func (p *peer) waitUnpaused() {
	p.mu.Lock()
	paused := p.paused
	p.mu.Unlock()
	if paused != nil {
		<-paused
	}
}

// connect opens a connection without a word.
func (b *bench) peer(v packet.Version) *peer {
	near, far := net.Pipe()
	p := &peer{t: b.t, b: b, nc: near, v: v}
	b.srv.Serve(&line{Conn: far, p: p}, "test")
	go p.read() // ends with the connection, which the server closes at the end of the script
	return p
}

// client opens a connection and its session, with CONNACK read.
func (b *bench) client(v packet.Version, id string, change ...func(*packet.Connect)) *peer {
	b.t.Helper()
	p := b.peer(v)
	c := &packet.Connect{Version: v, ClientID: id, CleanStart: true}
	for _, fn := range change {
		fn(c)
	}
	p.Write(c)
	if got, ok := p.next().(*packet.Connack); !ok || got.Reason != packet.Success {
		b.t.Fatalf("connect %s: got %+v, want CONNACK with success", id, got)
	}
	return p
}

func (p *peer) read() {
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		p.waitUnpaused()
		n, err := p.nc.Read(chunk)
		buf = append(buf, chunk[:n]...)
		buf = p.take(buf)
		if err != nil {
			p.mu.Lock()
			p.closed = true
			p.mu.Unlock()
			p.nc.Close()
			return
		}
	}
}

func (p *peer) take(buf []byte) []byte {
	for {
		total, _, _, err := packet.Frame(buf, 0)
		if err != nil {
			p.t.Errorf("server sent bytes that are no packet: %v", err)
			return nil
		}
		if total == 0 {
			return buf
		}
		got, err := packet.Read(bytes.Clone(buf[:total]), p.v)
		if err != nil {
			p.t.Errorf("server sent % x: %v", buf[:total], err)
		}
		p.mu.Lock()
		p.got = append(p.got, got)
		p.mu.Unlock()
		buf = buf[total:]
	}
}

// Write sends packets, all in one write.
func (p *peer) Write(packets ...packet.Packet) {
	p.t.Helper()
	var b []byte
	for _, each := range packets {
		b = each.Append(b, p.v)
	}
	p.WriteBytes(b)
}

func (p *peer) WriteBytes(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil && err != io.ErrClosedPipe {
		p.t.Fatalf("write: %v", err)
	}
}

// next returns the next packet once nothing moves any more; nil when there is none.
func (p *peer) next() packet.Packet {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) == 0 {
		return nil
	}
	got := p.got[0]
	p.got = p.got[1:]
	return got
}

// Want checks the next packet. A reason string is compared only when want has one.
func (p *peer) Want(why string, want packet.Packet) {
	p.t.Helper()
	got := p.next()
	if got == nil {
		p.t.Fatalf("%s: got nothing, want %v %+v", why, want.Type(), want)
	}
	unexplained(got, want)
	if !bytes.Equal(got.Append(nil, p.v), want.Append(nil, p.v)) {
		p.t.Fatalf("%s: got %v %s, want %v %s", why, got.Type(), show(got), want.Type(), show(want))
	}
}

// unexplained takes the reason string out of got unless want has one.
func unexplained(got, want packet.Packet) {
	g, w := propsOf(got), propsOf(want)
	if g == nil || *g == nil || (w != nil && (*w).Has(packet.PropReasonString)) {
		return
	}
	if (*g).Set &^= 1 << packet.PropReasonString; (*g).Set == 0 {
		*g = nil
	}
}

func show(p packet.Packet) string { return fmt.Sprintf("%+v", p) }

// WantIdle checks that the server sends nothing and keeps the connection.
func (p *peer) WantIdle(why string) {
	p.t.Helper()
	if got := p.next(); got != nil {
		p.t.Fatalf("%s: got %v %+v, want nothing", why, got.Type(), got)
	}
	if p.isClosed() {
		p.t.Fatalf("%s: got a closed connection, want an open one", why)
	}
}

// WantClosed checks that the server sends nothing more and has closed the connection.
func (p *peer) WantClosed(why string) {
	p.t.Helper()
	time.Sleep(2 * lingerTime) // in the bubble: no wait
	if got := p.next(); got != nil {
		p.t.Fatalf("%s: got %v %+v, want a closed connection", why, got.Type(), got)
	}
	if !p.isClosed() {
		p.t.Fatalf("%s: got an open connection, want a closed one", why)
	}
}

// WantDisconnect checks for DISCONNECT with that reason and the end of the connection.
func (p *peer) WantDisconnect(why string, reason packet.ReasonCode) {
	p.t.Helper()
	got, ok := p.next().(*packet.Disconnect)
	if !ok || got.Reason != reason {
		p.t.Fatalf("%s: got %+v, want DISCONNECT %v", why, got, reason)
	}
	p.WantClosed(why)
}

func (p *peer) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// wantCount checks a counter of the server.
func (b *bench) wantCount(name string, want uint64) {
	b.t.Helper()
	synctest.Wait()
	if got := b.metrics.Counter(name).Get(); got != want {
		b.t.Errorf("%s: got %d, want %d", name, got, want)
	}
}

func (b *bench) wantEnd(why string) {
	b.t.Helper()
	b.wantCount(fmt.Sprintf(`mangrove_connections_closed_total{reason=%q}`, why), 1)
}

func sub(id uint16, filters ...string) *packet.Subscribe {
	p := &packet.Subscribe{PacketID: id}
	for _, f := range filters {
		qos := byte(0)
		if name, ok := strings.CutSuffix(f, " 1"); ok {
			f, qos = name, 1
		} else if name, ok := strings.CutSuffix(f, " 2"); ok {
			f, qos = name, 2
		}
		p.Filters = append(p.Filters, packet.SubscribeFilter{Filter: f, QoS: qos})
	}
	return p
}

func pub(topic, payload string) *packet.Publish {
	return &packet.Publish{Topic: []byte(topic), Payload: []byte(payload)}
}

func pubQ(qos byte, id uint16, topic, payload string) *packet.Publish {
	return &packet.Publish{QoS: qos, PacketID: id, Topic: []byte(topic), Payload: []byte(payload)}
}

func ack(kind packet.Type, id uint16, reason packet.ReasonCode) *packet.Ack {
	return &packet.Ack{Kind: kind, PacketID: id, Reason: reason}
}
