package wire

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt/packet"
)

// peer is the far end of one connection, driven packet by packet.
type peer struct {
	t  *testing.T
	nc net.Conn
	v  packet.Version

	mu     sync.Mutex
	got    []packet.Packet
	closed bool
}

// peer opens a connection without a word. Its reader ends with the connection, which the server closes at
// the end of the script.
func (s *server) peer(v packet.Version) *peer {
	p := &peer{t: s.t, nc: s.Pipe(), v: v}
	go p.read()
	return p
}

// how is what a client asks for in CONNECT.
type how func(*packet.Connect)

func keep(c *packet.Connect) {
	c.CleanStart = false
	if c.Version == packet.V5 && !c.Props.Has(packet.PropSessionExpiry) {
		set(c, packet.PropSessionExpiry, func(p *packet.Properties) { p.SessionExpiry = 3600 })
	}
}

// fresh is a clean start of a session that is kept; before 5.0 there is no such thing.
func fresh(c *packet.Connect) {
	keep(c)
	c.CleanStart = true
}

func expiry(seconds uint32) how {
	return func(c *packet.Connect) {
		set(c, packet.PropSessionExpiry, func(p *packet.Properties) { p.SessionExpiry = seconds })
	}
}

func window(n uint16) how {
	return func(c *packet.Connect) {
		set(c, packet.PropReceiveMaximum, func(p *packet.Properties) { p.ReceiveMaximum = n })
	}
}

func atMost(size uint32) how {
	return func(c *packet.Connect) {
		set(c, packet.PropMaximumPacketSize, func(p *packet.Properties) { p.MaximumPacketSize = size })
	}
}

func alive(seconds uint16) how { return func(c *packet.Connect) { c.KeepAlive = seconds } }

func withWill(w packet.Will) how { return func(c *packet.Connect) { c.Will = &w } }

func set(c *packet.Connect, id packet.Property, fn func(*packet.Properties)) {
	if c.Props == nil {
		c.Props = &packet.Properties{}
	}
	fn(c.Props)
	c.Props.Mark(id)
}

// hello is the CONNECT of a client.
func hello(v packet.Version, id string, hows ...how) *packet.Connect {
	c := &packet.Connect{Version: v, ClientID: id, CleanStart: true}
	for _, h := range hows {
		h(c)
	}
	return c
}

// client connects and reads CONNACK.
func (s *server) client(v packet.Version, id string, hows ...how) *peer {
	s.t.Helper()
	p := s.peer(v)
	p.connect(id, hows...)
	return p
}

// connect says CONNECT and returns the answer, which must be success.
func (p *peer) connect(id string, hows ...how) *packet.Connack {
	p.t.Helper()
	p.Write(hello(p.v, id, hows...))
	got, ok := p.next().(*packet.Connack)
	if !ok || got.Reason != packet.Success {
		p.t.Fatalf("connect %s: got %+v, want CONNACK with success", id, got)
	}
	return got
}

func (p *peer) read() {
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := p.nc.Read(chunk)
		buf = p.take(append(buf, chunk[:n]...))
		if err != nil {
			p.mu.Lock()
			p.closed = true
			p.mu.Unlock()
			p.nc.Close()
			return
		}
	}
}

// take reads the whole packets in buf and returns the rest.
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
	p.WriteBytes(b...)
}

func (p *peer) WriteBytes(b ...byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil && err != io.ErrClosedPipe {
		p.t.Fatalf("write: %v", err)
	}
}

// Leave closes the connection without a word.
func (p *peer) Leave() {
	p.nc.Close() // an error means that it is closed already
	synctest.Wait()
}

// Bye says DISCONNECT.
func (p *peer) Bye() {
	p.t.Helper()
	p.Write(&packet.Disconnect{})
	p.WantClosed("after DISCONNECT")
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

// Want checks the next packet; reason strings are the server's own words and not compared.
func (p *peer) Want(why string, want packet.Packet) {
	p.t.Helper()
	got := p.next()
	if got == nil {
		p.t.Fatalf("%s: got nothing, want %v %+v", why, want.Type(), want)
	}
	if !bytes.Equal(plain(got).Append(nil, p.v), plain(want).Append(nil, p.v)) {
		p.t.Fatalf("%s: got %v %s, want %v %s", why, got.Type(), show(got), want.Type(), show(want))
	}
}

// plain is p without a reason string.
func plain(p packet.Packet) packet.Packet {
	props := propsOf(p)
	if *props == nil || !(*props).Has(packet.PropReasonString) {
		return p
	}
	without := **props
	without.Set &^= 1 << packet.PropReasonString
	*props = &without
	return p
}

// propsOf is where a packet has its properties.
func propsOf(p packet.Packet) **packet.Properties {
	switch p := p.(type) {
	case *packet.Connack:
		return &p.Props
	case *packet.Publish:
		return &p.Props
	case *packet.Ack:
		return &p.Props
	case *packet.Suback:
		return &p.Props
	case *packet.Unsuback:
		return &p.Props
	case *packet.Disconnect:
		return &p.Props
	case *packet.Auth:
		return &p.Props
	}
	return new(*packet.Properties)
}

// show prints a packet for people.
func show(p packet.Packet) string {
	if m, ok := p.(*packet.Publish); ok {
		return fmt.Sprintf("{%q %q QoS %d id %d dup %v retain %v %+v}", m.Topic, m.Payload, m.QoS, m.PacketID, m.Dup, m.Retain, m.Props)
	}
	return fmt.Sprintf("%+v", p)
}

// WantIdle checks that the server sends nothing and keeps the connection.
func (p *peer) WantIdle(why string) {
	p.t.Helper()
	if got := p.next(); got != nil {
		p.t.Fatalf("%s: got %v %s, want nothing", why, got.Type(), show(got))
	}
	if p.isClosed() {
		p.t.Fatalf("%s: got a closed connection, want an open one", why)
	}
}

// WantClosed checks that the server sends nothing more and has closed the connection.
func (p *peer) WantClosed(why string) {
	p.t.Helper()
	time.Sleep(time.Second) // in the bubble: no wait; the server gives a client that long to read its last packet
	if got := p.next(); got != nil {
		p.t.Fatalf("%s: got %v %s, want a closed connection", why, got.Type(), show(got))
	}
	if !p.isClosed() {
		p.t.Fatalf("%s: got an open connection, want a closed one", why)
	}
}

// WantGone checks that the connection ends: with DISCONNECT and that reason in 5.0, without a word before.
func (p *peer) WantGone(why string, reason packet.ReasonCode) {
	p.t.Helper()
	if p.v == packet.V5 {
		got, ok := p.next().(*packet.Disconnect)
		if !ok || got.Reason != reason {
			p.t.Fatalf("%s: got %+v, want DISCONNECT %v", why, got, reason)
		}
	}
	p.WantClosed(why)
}

func (p *peer) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Subscribe subscribes to one filter and checks the answer.
func (p *peer) Subscribe(filter string, qos byte) {
	p.t.Helper()
	p.SubscribeTo(packet.SubscribeFilter{Filter: filter, QoS: qos})
}

// SubscribeTo is Subscribe with options; packet id 999.
func (p *peer) SubscribeTo(f packet.SubscribeFilter) {
	p.t.Helper()
	p.Write(&packet.Subscribe{PacketID: 999, Filters: []packet.SubscribeFilter{f}})
	p.Want("SUBACK", suback(999, packet.ReasonCode(f.QoS)))
}

func suback(id uint16, reasons ...packet.ReasonCode) *packet.Suback {
	return &packet.Suback{PacketID: id, Reasons: reasons}
}

// unsuback has reasons in 5.0 only; Append leaves them out before.
func unsuback(id uint16, reasons ...packet.ReasonCode) *packet.Unsuback {
	return &packet.Unsuback{PacketID: id, Reasons: reasons}
}

func pub(topic, payload string) *packet.Publish {
	return &packet.Publish{Topic: []byte(topic), Payload: []byte(payload)}
}

func pubQ(qos byte, id uint16, topic, payload string) *packet.Publish {
	return &packet.Publish{QoS: qos, PacketID: id, Topic: []byte(topic), Payload: []byte(payload)}
}

func retained(topic, payload string) *packet.Publish {
	return &packet.Publish{Retain: true, Topic: []byte(topic), Payload: []byte(payload)}
}

// dup is p sent again.
func dup(p *packet.Publish) *packet.Publish {
	again := *p
	again.Dup = true
	return &again
}

// with is p with properties.
func with(p *packet.Publish, props *packet.Properties) *packet.Publish {
	p.Props = props
	return p
}

func ack(kind packet.Type, id uint16, reason packet.ReasonCode) *packet.Ack {
	return &packet.Ack{Kind: kind, PacketID: id, Reason: reason}
}

// received is what a publisher is told: 0x10 exists in 5.0 only and is left out before.
func received(qos byte, id uint16) *packet.Ack {
	if qos == 1 {
		return ack(packet.PUBACK, id, packet.Success)
	}
	return ack(packet.PUBREC, id, packet.Success)
}
