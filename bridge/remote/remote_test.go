package remote

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must happen.
const patience = 10 * time.Second

// broker is the far end of a connection, driven by the test.
type broker struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
}

func (b *broker) send(packets ...packet.Packet) {
	b.t.Helper()
	var out []byte
	for _, p := range packets {
		out = p.Append(out, packet.V5)
	}
	b.sendBytes(out)
}

func (b *broker) sendBytes(out []byte) {
	b.t.Helper()
	b.conn.SetDeadline(time.Now().Add(patience))
	if _, err := b.conn.Write(out); err != nil {
		b.t.Fatalf("broker writes: %v", err)
	}
}

// next reads one packet; PINGREQ is answered and left out.
func (b *broker) next() (packet.Packet, error) {
	b.conn.SetDeadline(time.Now().Add(patience))
	chunk := make([]byte, 4096)
	for {
		total, _, _, err := packet.Frame(b.buf, 0)
		if err != nil {
			return nil, err
		}
		if total > 0 {
			p, err := packet.Read(b.buf[:total], packet.V5)
			b.buf = b.buf[total:]
			if _, ping := p.(*packet.Pingreq); err == nil && ping {
				b.send(&packet.Pingresp{})
				continue
			}
			return p, err
		}
		n, err := b.conn.Read(chunk)
		if err != nil {
			return nil, err
		}
		b.buf = append(b.buf, chunk[:n]...)
	}
}

func want[P packet.Packet](b *broker, why string) P {
	b.t.Helper()
	p, err := b.next()
	if err != nil {
		b.t.Fatalf("%s: %v", why, err)
	}
	got, ok := p.(P)
	if !ok {
		b.t.Fatalf("%s: got %v, want %T", why, p.Type(), got)
	}
	return got
}

// heard is what the callbacks got.
type heard struct {
	messages chan delivery
	acks     chan ack
}

type delivery struct {
	m   *mqtt.Message
	id  uint16
	sub uint32
}

type ack struct {
	token  uint64
	reason byte
}

// connected is a Conn and the broker behind it; answer goes into CONNACK.
func connected(t *testing.T, answer *packet.Properties) (*Conn, *broker, *heard) {
	t.Helper()
	c, b, h, err := connect(t, &packet.Connack{Props: answer}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.conn.Close()
		c.Close()
	})
	return c, b, h
}

func connect(t *testing.T, answer *packet.Connack, set func(*Config)) (*Conn, *broker, *heard, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := &heard{messages: make(chan delivery, 100), acks: make(chan ack, 100)}
	cfg := Config{
		Addr: l.Addr().String(), ClientID: "mangrove-a", Username: "u", Password: []byte("p"), SessionExpiry: time.Hour, Window: 10, MaxPacket: 2048,
		OnMessage: func(m *mqtt.Message, id uint16, sub uint32) { h.messages <- delivery{m, id, sub} },
		OnAck:     func(token uint64, reason byte) { h.acks <- ack{token, reason} },
	}
	if set != nil {
		set(&cfg)
	}
	greeted := make(chan *broker, 1)
	go func() { // ends with the handshake; greeted tells
		conn, err := l.Accept()
		if err != nil {
			greeted <- nil
			return
		}
		b := &broker{t: t, conn: conn}
		if p, err := b.next(); err != nil || p.Type() != packet.CONNECT {
			t.Errorf("got %v, %v, want CONNECT", p, err)
		} else if c := p.(*packet.Connect); c.CleanStart || c.ClientID != "mangrove-a" || c.Props.SessionExpiry != 3600 ||
			c.Props.ReceiveMaximum != uint16(cfg.Window) || c.Username != "u" || string(c.Password) != "p" {
			t.Errorf("got %+v, want a session that outlives the connection", c)
		}
		conn.Write(answer.Append(nil, packet.V5)) // an error is seen by Dial
		greeted <- b
	}()
	c, err := Dial(t.Context(), cfg)
	return c, <-greeted, h, err
}

func TestPublish(t *testing.T) {
	answer := &packet.Properties{ReceiveMaximum: 5, MaximumPacketSize: 100}
	c, b, h := connected(t, answer.Mark(packet.PropReceiveMaximum).Mark(packet.PropMaximumPacketSize))
	if got := c.Window(); got != 5 {
		t.Errorf("got a window of %d, want the broker's 5 [MQTT-3.3.4-7]", got)
	}
	props := &packet.Properties{ContentType: "text", User: []packet.UserProperty{{Name: OriginProperty, Value: "forged"}, {Name: VersionProperty, Value: "1"}, {Name: "k", Value: "v"}}}
	m := &mqtt.Message{Topic: "t", Payload: []byte("m"), QoS: 2, Retain: true, Origin: mqtt.Origin{Life: 0xABC, Seq: 7}, Version: 0xDEF,
		Props: props.Mark(packet.PropContentType).Mark(packet.PropUser), Expires: time.Now().Add(90 * time.Second)}
	for i := range 2 {
		if err := c.Publish(m, 1, uint64(40+i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Publish(&mqtt.Message{Topic: "t", Payload: make([]byte, 200)}, 1, 50); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge [MQTT-3.2.2-15]", err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	first, second := want[*packet.Publish](b, "first"), want[*packet.Publish](b, "second")
	user := first.Props.User
	if first.QoS != 1 || !first.Retain || string(first.Topic) != "t" || string(first.Payload) != "m" || first.Props.ContentType != "text" ||
		len(user) != 3 || user[0].Value != "v" || user[1] != (packet.UserProperty{Name: OriginProperty, Value: "0000000000000abc-7"}) ||
		user[2] != (packet.UserProperty{Name: VersionProperty, Value: "def"}) ||
		first.Props.MessageExpiry < 80 || first.Props.MessageExpiry > 90 {
		t.Errorf("got %+v %+v, want the message with its origin", first, first.Props)
	}
	b.send(&packet.Ack{Kind: packet.PUBACK, PacketID: second.PacketID, Reason: packet.QuotaExceeded}, &packet.Ack{Kind: packet.PUBACK, PacketID: first.PacketID})
	for _, want := range []ack{{41, 0x97}, {40, 0}} {
		if got := <-h.acks; got != want {
			t.Errorf("got acknowledgement %v, want %v", got, want)
		}
	}
}

func TestReceive(t *testing.T) {
	c, b, h := connected(t, nil)
	props := &packet.Properties{SubscriptionIDs: []uint32{9}, MessageExpiry: 60, ResponseTopic: "r",
		User: []packet.UserProperty{{Name: "k", Value: "v"}, {Name: VersionProperty, Value: "def"}, {Name: OriginProperty, Value: "0000000000000abc-7"}}}
	props.Mark(packet.PropSubscriptionID).Mark(packet.PropMessageExpiry).Mark(packet.PropResponseTopic).Mark(packet.PropUser)
	several := &packet.Properties{SubscriptionIDs: []uint32{1, 2}}
	b.send(&packet.Publish{Topic: []byte("t"), Payload: []byte("m"), QoS: 1, PacketID: 3, Retain: true, Props: props},
		&packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: 4, Props: several.Mark(packet.PropSubscriptionID)},
		&packet.Publish{Topic: []byte("zero")})
	got := <-h.messages
	m := got.m
	if got.id != 3 || got.sub != 9 || m.Topic != "t" || string(m.Payload) != "m" || m.QoS != 1 || !m.Retain || m.Origin != (mqtt.Origin{Life: 0xABC, Seq: 7}) || m.Version != 0xDEF ||
		m.Props.ResponseTopic != "r" || len(m.Props.User) != 1 || m.Props.Has(packet.PropSubscriptionID) || m.Expires.IsZero() {
		t.Errorf("got %+v %+v %+v, want the message and its origin", got, m, m.Props)
	}
	if got := <-h.messages; got.id != 4 || got.sub != 0 {
		t.Errorf("got %+v, want no subscription where there are several", got)
	}
	if got := <-h.messages; got.id != 0 || got.m.QoS != 0 || got.m.Props != nil {
		t.Errorf("got %+v, want QoS 0", got)
	}
	for _, id := range []uint16{3, 4} { // nothing was acknowledged by itself
		if err := c.Ack(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint16{3, 4} {
		if p := want[*packet.Ack](b, "acknowledgement"); p.Kind != packet.PUBACK || p.PacketID != id {
			t.Errorf("got %+v, want PUBACK %d", p, id)
		}
	}
}

func TestSubscribe(t *testing.T) {
	c, b, _ := connected(t, nil)
	done := make(chan error, 1)
	go func() { // ends with the answers; done tells
		refused, err := c.Subscribe(context.Background(), []Filter{{Filter: "a"}, {Filter: "b/#", QoS: 1, Quiet: true}, {Filter: "+/c", QoS: 1, ID: 5}})
		if err == nil && (len(refused) != 1 || refused[0].Filter != "b/#") {
			err = errors.New("want b/# refused")
		}
		if err == nil {
			err = c.Unsubscribe(context.Background(), []string{"a"})
		}
		done <- err
	}()
	p := want[*packet.Subscribe](b, "filters without identifier together")
	if len(p.Filters) != 2 || !p.Filters[0].NoLocal || !p.Filters[0].RetainAsPublished || p.Filters[0].RetainHandling != 1 ||
		p.Filters[1].QoS != 1 || p.Filters[1].RetainHandling != 2 || p.Props.Has(packet.PropSubscriptionID) {
		t.Errorf("got %+v, want two filters", p)
	}
	b.send(&packet.Suback{PacketID: p.PacketID, Reasons: []packet.ReasonCode{0, packet.NotAuthorized}})
	p = want[*packet.Subscribe](b, "the filter with an identifier")
	if len(p.Filters) != 1 || len(p.Props.SubscriptionIDs) != 1 || p.Props.SubscriptionIDs[0] != 5 {
		t.Errorf("got %+v, want identifier 5", p)
	}
	b.send(&packet.Suback{PacketID: p.PacketID, Reasons: []packet.ReasonCode{1}})
	u := want[*packet.Unsubscribe](b, "withdrawal")
	b.send(&packet.Unsuback{PacketID: u.PacketID, Reasons: []packet.ReasonCode{0}})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSubscribeEndsWithTheConnection(t *testing.T) {
	c, b, _ := connected(t, nil)
	done := make(chan error, 1)
	go func() { // ends with the connection; done tells
		_, err := c.Subscribe(context.Background(), []Filter{{Filter: "a"}})
		done <- err
	}()
	want[*packet.Subscribe](b, "not answered")
	b.conn.Close()
	if err := <-done; err == nil {
		t.Error("got no error, want the connection lost")
	}
}

// What a broker may not send ends the connection, and Err says what it was.
func TestBrokerAtFault(t *testing.T) {
	cases := []struct {
		why   string
		bytes []byte
		want  string
	}{
		{"QoS 2 was not asked for", (&packet.Publish{Topic: []byte("t"), QoS: 2, PacketID: 1}).Append(nil, packet.V5), "QoS 2"},
		{"PUBACK for nothing", (&packet.Ack{Kind: packet.PUBACK, PacketID: 77}).Append(nil, packet.V5), "77, which is not under way"},
		{"PUBREL for nothing", (&packet.Ack{Kind: packet.PUBREL, PacketID: 77}).Append(nil, packet.V5), "PUBREL"},
		{"larger than Maximum Packet Size", []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, "larger than allowed"},
		{"length without end", []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, "more than four bytes"},
		{"DISCONNECT", (&packet.Disconnect{Reason: packet.SessionTakenOver}).Append(nil, packet.V5), "0x8E"},
	}
	for _, c := range cases {
		conn, b, _ := connected(t, nil)
		b.sendBytes(c.bytes)
		select {
		case <-conn.Done():
		case <-time.After(patience):
			t.Fatalf("%s: the connection stayed", c.why)
		}
		if err := conn.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.why, err, c.want)
		}
	}
}

func TestConnectRefused(t *testing.T) {
	c, b, _, err := connect(t, &packet.Connack{Reason: packet.NotAuthorized}, nil)
	if err == nil || !strings.Contains(err.Error(), "0x87") {
		t.Errorf("got %v, %v, want the reason code", c, err)
	}
	b.conn.Close()
	zero := &packet.Properties{MaximumQoS: 0}
	_, b, _, err = connect(t, &packet.Connack{Props: zero.Mark(packet.PropMaximumQoS)}, nil)
	if !errors.Is(err, ErrQoS) {
		t.Errorf("got %v, want ErrQoS", err)
	}
	b.conn.Close()
}

func TestCloseSaysDisconnect(t *testing.T) {
	c, b, _ := connected(t, nil)
	if err := c.Publish(&mqtt.Message{Topic: "t"}, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Close()
	want[*packet.Publish](b, "what was published before")
	if p := want[*packet.Disconnect](b, "goodbye"); p.Reason != packet.Success {
		t.Errorf("got %v, want Success: there is no will", p.Reason)
	}
}

// A broker that does not read cannot hold up the end.
func TestCloseDoesNotWaitForever(t *testing.T) {
	c, b, _ := connected(t, nil)
	wrote := make(chan error, 1)
	go func() { // ends when the deadline of Hurry passes; wrote tells
		m := &mqtt.Message{Topic: "t", Payload: make([]byte, 1<<20)}
		var err error
		for err == nil {
			if err = c.Publish(m, 0, 0); err == nil {
				err = c.Flush()
			}
		}
		wrote <- err
	}()
	first := make([]byte, 1)
	if _, err := b.conn.Read(first); err != nil {
		t.Fatal(err)
	}
	c.Hurry()
	select {
	case <-wrote:
	case <-time.After(patience):
		t.Fatal("writing went on")
	}
	c.Close()
}

func TestOriginText(t *testing.T) {
	o := mqtt.Origin{Life: 1<<64 - 1, Seq: 12}
	if got, ok := parseOrigin(originText(o)); !ok || got != o {
		t.Errorf("got %v, %v, want %v", got, ok, o)
	}
	for _, s := range []string{"", "-", "1-1", "00000000000000000-1", "0000000000000000-1", "000000000000000g-1", "0000000000000001-", "0000000000000001-x"} {
		if got, ok := parseOrigin(s); ok {
			t.Errorf("%q: got %v, want it refused", s, got)
		}
	}
}

// Cut at every byte, a PUBLISH is never taken for one with fewer identifiers than it has.
func TestCountMarks(t *testing.T) {
	props := &packet.Properties{PayloadFormat: 1, MessageExpiry: 1, ContentType: "c", ResponseTopic: "r", CorrelationData: []byte("d"),
		SubscriptionIDs: []uint32{300}, User: []packet.UserProperty{{Name: "k", Value: "v"}}}
	for _, id := range []packet.Property{packet.PropPayloadFormat, packet.PropMessageExpiry, packet.PropContentType, packet.PropResponseTopic,
		packet.PropCorrelationData, packet.PropSubscriptionID, packet.PropUser} {
		props.Mark(id)
	}
	for _, qos := range []byte{0, 1} {
		for n, ids := range [][]uint32{nil, {300}, {1, 2}} {
			props.SubscriptionIDs = ids
			if props.Set |= 1 << packet.PropSubscriptionID; n == 0 {
				props.Set &^= 1 << packet.PropSubscriptionID
			}
			b := (&packet.Publish{Topic: []byte("t/u"), QoS: qos, PacketID: 1, Props: props}).Append(nil, packet.V5)[2:]
			if got := countMarks(b, qos); got != n {
				t.Errorf("QoS %d: got %d identifiers, want %d", qos, got, n)
			}
			for cut := range len(b) {
				if got := countMarks(b[:cut], qos); got != 2 && !bytes.Equal(b[:cut], b) {
					t.Errorf("QoS %d cut at %d: got %d, want 2: not to be found out", qos, cut, got)
				}
			}
		}
	}
}

func FuzzCountMarks(f *testing.F) {
	f.Add([]byte{0, 1, 't', 2, 11, 5}, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, qos byte) {
		if n := countMarks(b, qos&3); n < 0 || n > 2 {
			t.Errorf("got %d, want 0 to 2", n)
		}
	})
}
