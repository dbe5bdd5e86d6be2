package bridge

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mangrove/bridge/remote"
	"mangrove/internal/hlc"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// plainBroker is a broker that is no Mangrove node, driven by the test: each connection that is no attempt at a link
// comes out of conns, after CONNACK.
type plainBroker struct {
	t       *testing.T
	addr    string
	answer  packet.Properties // of CONNACK
	present bool
	conns   chan *plainConn
}

// plainConn is one connection.
type plainConn struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
}

func newPlainBroker(t *testing.T, answer packet.Properties) *plainBroker {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &plainBroker{t: t, addr: l.Addr().String(), answer: answer, conns: make(chan *plainConn, 100)}
	var serving sync.WaitGroup
	serving.Go(func() { // ends with the listener; cleanup waits
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.greet(&plainConn{t: t, conn: conn})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
		for len(b.conns) > 0 {
			(<-b.conns).conn.Close()
		}
	})
	return b
}

func (b *plainBroker) greet(c *plainConn) {
	p, err := c.read()
	if err != nil { // the node was closed while it dialled
		c.conn.Close()
		return
	}
	connect, ok := p.(*packet.Connect)
	if !ok {
		b.t.Errorf("got %v, want CONNECT", p)
		c.conn.Close()
		return
	}
	if isLink(connect.Props) {
		c.send(&packet.Connack{})
		if p, err := c.read(); err == nil && p.Type() != packet.DISCONNECT {
			b.t.Errorf("got %v after CONNACK without %s, want DISCONNECT", p.Type(), mqtt.LinkProperty)
		}
		c.conn.Close()
		return
	}
	if !strings.HasPrefix(connect.ClientID, "mangrove-") || connect.CleanStart {
		b.t.Errorf("got %+v, want a session of its own", connect)
	}
	answer := b.answer
	c.send(&packet.Connack{SessionPresent: b.present, Props: &answer})
	b.conns <- c
}

// accept waits for the next connection.
func (b *plainBroker) accept() *plainConn {
	b.t.Helper()
	select {
	case c := <-b.conns:
		b.t.Cleanup(func() { c.conn.Close() })
		return c
	case <-time.After(patience):
		b.t.Fatal("no connection came")
		return nil
	}
}

func (c *plainConn) send(packets ...packet.Packet) {
	c.t.Helper()
	for _, p := range packets {
		if _, err := c.conn.Write(p.Append(nil, packet.V5)); err != nil {
			c.t.Logf("broker writes %v: %v", p.Type(), err)
		}
	}
}

func (c *plainConn) read() (packet.Packet, error) {
	c.conn.SetDeadline(time.Now().Add(patience))
	chunk := make([]byte, 4096)
	for {
		total, _, _, err := packet.Frame(c.buf, 0)
		if err != nil {
			return nil, err
		}
		if total > 0 {
			p, err := packet.Read(c.buf[:total], packet.V5)
			c.buf = c.buf[total:]
			if err == nil && p.Type() == packet.PINGREQ {
				c.send(&packet.Pingresp{})
				continue
			}
			return p, err
		}
		n, err := c.conn.Read(chunk)
		if err != nil {
			return nil, err
		}
		c.buf = append(c.buf, chunk[:n]...)
	}
}

func wantPacket[P packet.Packet](c *plainConn, why string) P {
	c.t.Helper()
	p, err := c.read()
	got, ok := p.(P)
	if !ok {
		c.t.Fatalf("%s: got %v, %v, want %T", why, p, err, got)
	}
	return got
}

func (c *plainConn) wantPublish(payload string) *packet.Publish {
	c.t.Helper()
	p := wantPacket[*packet.Publish](c, payload)
	if string(p.Payload) != payload {
		c.t.Fatalf("got PUBLISH %q, want %q", p.Payload, payload)
	}
	return p
}

// wantSubscribe wants one SUBSCRIBE of these filters and grants it.
func (c *plainConn) wantSubscribe(filters ...string) *packet.Subscribe {
	c.t.Helper()
	p := wantPacket[*packet.Subscribe](c, fmt.Sprint(filters))
	var got []string
	for _, f := range p.Filters {
		got = append(got, string(f.Filter))
	}
	if fmt.Sprint(got) != fmt.Sprint(filters) {
		c.t.Fatalf("got SUBSCRIBE %v, want %v", got, filters)
	}
	c.send(&packet.Suback{PacketID: p.PacketID, Reasons: make([]packet.ReasonCode, len(filters))})
	return p
}

func (c *plainConn) acknowledge(p *packet.Publish, reason packet.ReasonCode) {
	c.send(&packet.Ack{Kind: packet.PUBACK, PacketID: p.PacketID, Reason: reason})
}

// newRemoteEdge is an edge whose uplink is b.
func newRemoteEdge(t *testing.T, b *plainBroker, tweak func(*Config)) *node {
	a := newNode(t, RoleEdge, "a", tweak)
	a.b.SetCores([]string{b.addr}, false)
	return a
}

func TestRemoteKeepsToTheWindowAndSendsAgain(t *testing.T) {
	var answer packet.Properties
	answer.ReceiveMaximum = 2
	answer.Mark(packet.PropReceiveMaximum)
	b := newPlainBroker(t, answer)
	a := newRemoteEdge(t, b, nil)
	c := b.accept()
	a.wantState(b.addr, "up")
	a.mustPublish("t", 1, numbered("m", 0, 5)...)
	first := c.wantPublish("m0")
	if origin := first.Props.User[0]; first.QoS != 1 || origin.Name != remote.OriginProperty {
		t.Errorf("got %+v, want QoS 1 and its origin", first)
	}
	second := c.wantPublish("m1")
	c.acknowledge(second, 0) // out of order: m0 is still owed
	c.conn.Close()
	c = b.accept()
	again := c.wantPublish("m0")
	if again.Props.User[0] != first.Props.User[0] {
		t.Errorf("got origin %v, want %v as before", again.Props.User[0], first.Props.User[0])
	}
	for i, p := 1, again; i < 5; i++ { // never more than two on the way [MQTT-3.3.4-7]
		next := c.wantPublish(fmt.Sprintf("m%d", i))
		if got, want := a.backlog(""), 6-i; got != want {
			t.Errorf("before m%d is acknowledged: got a backlog of %d, want %d", i-1, got, want)
		}
		c.acknowledge(p, packet.NoMatchingSubscribers)
		if p = next; i == 4 {
			c.acknowledge(p, 0)
		}
	}
	a.drained("")
	a.restart()
	a.b.SetCores([]string{b.addr}, false)
	b.accept()
	a.wantState(b.addr, "up")
	if s := a.status(b.addr); s.BacklogMessages != 0 || s.Protocol != ProtocolMQTT {
		t.Errorf("got %+v after a restart, want nothing owed", s)
	}
}

func TestRemoteRefusals(t *testing.T) {
	b := newPlainBroker(t, packet.Properties{})
	a := newRemoteEdge(t, b, nil)
	c := b.accept()
	a.mustPublish("t", 1, "m0", "m1")
	p0, p1 := c.wantPublish("m0"), c.wantPublish("m1")
	c.acknowledge(p0, packet.NotAuthorized) // for good
	c.acknowledge(p1, packet.QuotaExceeded) // for now
	wantPacket[*packet.Disconnect](c, "to come again later")
	c = b.accept()
	c.acknowledge(c.wantPublish("m1"), 0)
	a.drained("")
	if got := a.reg.Drops()[dropRefused]; got != 1 {
		t.Errorf("got %d messages counted as refused for good, want 1", got)
	}
}

func TestRemoteAcknowledgesWhatIsKept(t *testing.T) {
	b := newPlainBroker(t, packet.Properties{})
	a := newRemoteEdge(t, b, nil)
	sub := a.subscribe("sub", "t/#", 1)
	c := b.accept()
	c.wantSubscribe("t/#")
	origin := &packet.Properties{User: []packet.UserProperty{{Name: remote.OriginProperty, Value: "0000000000000abc-7"}}}
	origin.Mark(packet.PropUser)
	named := &packet.Publish{Topic: []byte("t/1"), Payload: []byte("named"), QoS: 1, PacketID: 1, Props: origin}
	c.send(named, &packet.Publish{Topic: []byte("t/1"), Payload: []byte("foreign"), QoS: 1, PacketID: 2},
		&packet.Publish{Topic: []byte("$t/1"), Payload: []byte("may not come in"), QoS: 1, PacketID: 3})
	for _, id := range []uint16{1, 2, 3} {
		if p := wantPacket[*packet.Ack](c, "kept"); p.Kind != packet.PUBACK || p.PacketID != id {
			t.Errorf("got %+v, want PUBACK %d", p, id)
		}
	}
	sub.want(t, "named", "foreign")
	if got := a.reg.Drops()[dropInvalid]; got != 1 {
		t.Errorf("got %d messages counted as invalid, want 1", got)
	}

	sub.setRefuse(errors.New("no room"))
	c.send(&packet.Publish{Topic: []byte("t/1"), Payload: []byte("refused"), QoS: 1, PacketID: 4})
	wantPacket[*packet.Disconnect](c, "not acknowledged, to come again later")
	sub.setRefuse(nil)
	c = b.accept()
	c.wantSubscribe("t/#")
	c.send(&packet.Publish{Topic: []byte("t/1"), Payload: []byte("refused"), QoS: 1, PacketID: 4, Dup: true}, named)
	for _, id := range []uint16{4, 1} {
		if p := wantPacket[*packet.Ack](c, "kept"); p.PacketID != id {
			t.Errorf("got %+v, want PUBACK %d", p, id)
		}
	}
	sub.want(t, "named", "foreign", "refused")
	if got := a.status(b.addr).Repeats; got != 1 {
		t.Errorf("got %d repeats, want the named one", got)
	}
	if got := a.backlog(""); got != 0 {
		t.Errorf("got %d messages to go back where they came from, want none", got)
	}
}

func TestRemoteSubscriptions(t *testing.T) {
	b := newPlainBroker(t, packet.Properties{})
	a := newNode(t, RoleEdge, "a", nil)
	sub := a.subscribe("s", "a/b", 1)
	a.b.SetCores([]string{b.addr}, false)
	c := b.accept()
	c.wantSubscribe("a/b")
	a.router.Subscribe(sub, mqtt.Subscription{Filter: "a/+", QoS: 0})
	if p := c.wantSubscribe("a/+"); p.Filters[0].QoS != 1 || p.Props.Has(packet.PropSubscriptionID) {
		t.Errorf("got %+v, want QoS 1: it stands for a/b too", p)
	}
	u := wantPacket[*packet.Unsubscribe](c, "a/b is in it")
	c.send(&packet.Unsuback{PacketID: u.PacketID, Reasons: make([]packet.ReasonCode, 1)})
	a.router.Subscribe(sub, mqtt.Subscription{Filter: "+/b", QoS: 1})
	ids := map[uint32]bool{}
	for range 2 {
		p := wantPacket[*packet.Subscribe](c, "filters that overlap")
		if len(p.Filters) != 1 || len(p.Props.SubscriptionIDs) != 1 {
			t.Fatalf("got %+v, want one filter with an identifier", p)
		}
		ids[p.Props.SubscriptionIDs[0]] = true
		c.send(&packet.Suback{PacketID: p.PacketID, Reasons: []packet.ReasonCode{1}})
	}
	if len(ids) != 2 {
		t.Errorf("got identifiers %v, want two", ids)
	}
	a.stop() // nothing is wanted after it
	a.start()
	b.present = true
	a.b.SetCores([]string{b.addr}, false)
	u = wantPacket[*packet.Unsubscribe](b.accept(), "what the broker still holds")
	if len(u.Filters) != 2 {
		t.Errorf("got UNSUBSCRIBE %v, want a/+ and +/b", u.Filters)
	}
}

// Further copies for overlapping subscriptions are acknowledged and not taken in.
func TestRemoteCopies(t *testing.T) {
	b := newPlainBroker(t, packet.Properties{})
	a := newNode(t, RoleEdge, "a", nil)
	sub, other := a.subscribe("s", "+/b", 1), a.subscribe("other", "a/+", 1)
	a.b.SetCores([]string{b.addr}, false)
	c := b.accept()
	var ids []uint32
	for range 2 {
		p := wantPacket[*packet.Subscribe](c, "filters that overlap")
		ids = append(ids, p.Props.SubscriptionIDs...)
		c.send(&packet.Suback{PacketID: p.PacketID, Reasons: []packet.ReasonCode{1}})
	}
	for i := range uint16(4) {
		props := &packet.Properties{SubscriptionIDs: []uint32{ids[i%2]}}
		c.send(&packet.Publish{Topic: []byte("a/b"), Payload: fmt.Append(nil, "m", i/2), QoS: 1, PacketID: i + 1, Props: props.Mark(packet.PropSubscriptionID)})
	}
	for i := range uint16(4) {
		if p := wantPacket[*packet.Ack](c, "each copy"); p.PacketID != i+1 {
			t.Errorf("got %+v, want PUBACK %d", p, i+1)
		}
	}
	sub.want(t, "m0", "m1")
	other.want(t, "m0", "m1")
}

// Retained messages keep their version at a broker that knows none: an older one that comes back changes nothing, one that this edge has
// lost is taken, and what somebody made up does not count. What is sent late is not retained there.
func TestRemoteRetained(t *testing.T) {
	b := newPlainBroker(t, packet.Properties{})
	a := newRemoteEdge(t, b, nil)
	sub := a.subscribe("s", "#", 1)
	c := b.accept()
	c.wantSubscribe("#")
	send := func(id uint16, payload string, origin, version uint64) {
		props := &packet.Properties{User: []packet.UserProperty{{Name: remote.OriginProperty, Value: fmt.Sprintf("%016x-%d", origin, id)}, {Name: remote.VersionProperty, Value: fmt.Sprintf("%x", version)}}}
		c.send(&packet.Publish{Topic: []byte("t"), Payload: []byte(payload), QoS: 1, PacketID: id, Retain: true, Props: props.Mark(packet.PropUser)})
		wantPacket[*packet.Ack](c, payload)
	}
	now := uint64(hlc.At(time.Now().UnixMilli()))
	send(1, "newer", 0xABC, now)
	send(2, "older", 0xABC, now-5)
	a.wantHeld("t=newer")
	send(3, "own", a.st.ID(), now+1) // as after a restore
	a.wantHeld("t=own")
	send(4, "made up", 0xABC, 1<<62)
	a.wantHeld("t=made up")
	sub.want(t, "newer", "older", "own", "made up")
	a.retain("t", "mine")
	if p := c.wantPublish("mine"); !p.Retain {
		t.Error("got no RETAIN")
	}
	c.conn.Close() // it is owed still
	time.Sleep(2 * time.Millisecond)
	a.retain("t", "newest")
	c = b.accept()
	c.wantSubscribe("#")
	late := c.wantPublish("mine")
	if newest := c.wantPublish("newest"); late.Retain || !newest.Retain {
		t.Errorf("got RETAIN %v, %v, want it with the newest only", late.Retain, newest.Retain)
	}
}

func TestProtocolThatIsConfigured(t *testing.T) {
	b := newPlainBroker(t, packet.Properties{})
	never := newRemoteEdge(t, b, func(c *Config) { c.Protocol = ProtocolMangrove })
	eventually(t, "the edge says why", func() bool { return strings.Contains(never.b.Status()[0].LastError, "not a Mangrove node") })
	if len(b.conns) != 0 {
		t.Error("got a plain connection, want none")
	}
	var log lockedLog
	a := newNode(t, RoleEdge, "b", func(c *Config) { c.Protocol, c.Log = ProtocolMQTT, slog.New(slog.NewTextHandler(&log, nil)) })
	a.b.SetCores([]string{b.addr}, false)
	b.accept()
	a.wantState(b.addr, "up")
	if strings.Contains(log.String(), "not a Mangrove node") {
		t.Errorf("got %s, want no attempt at a link", log.String())
	}
	if _, err := New(Config{Node: "a", Role: RoleEdge, Store: a.st, Router: a.router, Protocol: "nats"}); err == nil {
		t.Error("protocol nats: got no error")
	}
}

// lockedLog collects log lines.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
