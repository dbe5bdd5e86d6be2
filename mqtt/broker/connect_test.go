package broker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt/packet"
)

func TestConnectIsAnswered(t *testing.T) {
	script(t, nil, func(b *bench) {
		p := b.peer(packet.V311)
		p.Write(&packet.Connect{Version: packet.V311, ClientID: "a", CleanStart: true})
		p.Want("3.1.1", &packet.Connack{}) // [MQTT-3.2.0-1]
		p.WantIdle("after CONNACK")

		q := b.peer(packet.V5)
		q.Write(&packet.Connect{Version: packet.V5, CleanStart: true})
		got := q.next().(*packet.Connack)
		if got.Props.AssignedClientID == "" { // [MQTT-3.2.2-16]
			t.Errorf("got no assigned client id, want one")
		}
		if got.Props.ReceiveMaximum != DefaultReceiveMaximum || got.Props.MaximumPacketSize != DefaultMaxPacket {
			t.Errorf("got %+v, want the server's bounds", got.Props)
		}
	})
}

func TestConnectRefused(t *testing.T) {
	will := func(topic string) *packet.Will { return &packet.Will{Topic: topic} }
	auth := (&packet.Properties{AuthMethod: "X"}).Mark(packet.PropAuthMethod)
	tests := []struct {
		name   string
		v      packet.Version
		p      packet.Connect
		reason packet.ReasonCode
		why    string
	}{
		{"no id, not clean", packet.V311, packet.Connect{}, packet.ClientIdentifierNotValid, "client-id-not-valid"}, // [MQTT311-3.1.3-8]
		{"user", packet.V311, packet.Connect{ClientID: "a", Username: "nobody", HasUser: true}, packet.BadUserNameOrPassword, "bad-credentials"},
		{"user", packet.V5, packet.Connect{ClientID: "a", Username: "nobody", HasUser: true}, packet.BadUserNameOrPassword, "bad-credentials"},
		{"will", packet.V5, packet.Connect{ClientID: "a", Will: will("secret/x")}, packet.NotAuthorized, "not-authorized"},
		{"will", packet.V311, packet.Connect{ClientID: "a", Will: will("$SYS/x")}, packet.NotAuthorized, "not-authorized"},
		{"method", packet.V5, packet.Connect{ClientID: "a", Props: auth}, packet.BadAuthenticationMethod, "bad-authentication-method"}, // [MQTT-4.12.0-1]
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			script(t, nil, func(b *bench) {
				p := b.peer(test.v)
				test.p.Version = test.v
				p.Write(&test.p)
				p.Want("refusal", &packet.Connack{Reason: test.reason})
				p.WantClosed("after the refusal") // [MQTT-3.2.2-7]
				b.wantEnd(test.why)
			})
		})
	}
}

func TestUnsupportedVersion(t *testing.T) { // [MQTT-3.1.2-2]
	script(t, nil, func(b *bench) {
		p := b.peer(packet.V311)
		p.WriteBytes([]byte{0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 2, 2, 0, 0, 0, 0})
		p.Want("level 2", &packet.Connack{Reason: packet.UnsupportedProtocolVersion})
		p.WantClosed("level 2")
		q := b.peer(packet.V5)
		q.WriteBytes([]byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 6, 2, 0, 0, 0, 0, 0})
		q.Want("level 6", &packet.Connack{Reason: packet.UnsupportedProtocolVersion})
		q.WantClosed("level 6")
	})
}

// What a stranger sends closes its own connection with the right reason, is counted, and does not touch
// anybody else.
func TestBadInputClosesOneConnection(t *testing.T) {
	connect := (&packet.Connect{Version: packet.V5, ClientID: "bad", CleanStart: true}).Append(nil, packet.V5)
	tests := []struct {
		name   string
		greet  bool
		bytes  []byte
		reason packet.ReasonCode // 0 = no DISCONNECT
		why    string
	}{
		{"TLS hello", false, []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00}, 0, "tls-on-plain-port"},
		{"HTTP", false, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0, "http-on-mqtt-port"},
		{"first packet is PINGREQ", false, []byte{0xC0, 0}, 0, "protocol-error"}, // [MQTT-3.1.0-1]
		{"type 0", false, []byte{0, 0}, 0, "malformed-packet"},
		{"endless length", false, []byte{0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, 0, "malformed-packet"},
		{"huge CONNECT", false, []byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F}, 0, "packet-too-large"},
		{"second CONNECT", true, connect, packet.ProtocolError, "protocol-error"}, // [MQTT-3.1.0-2]
		{"type 0", true, []byte{0, 0}, packet.MalformedPacket, "malformed-packet"},
		{"too large", true, []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, packet.PacketTooLarge, "packet-too-large"},
		{"QoS 3", true, []byte{0x36, 5, 0, 1, 'a', 0, 1}, packet.MalformedPacket, "malformed-packet"}, // [MQTT-3.3.1-4]
		{"CONNACK", true, []byte{0x20, 3, 0, 0, 0}, packet.ProtocolError, "protocol-error"},
		{"AUTH", true, []byte{0xF0, 0}, packet.ProtocolError, "protocol-error"},
		{"wildcard in topic", true, pub("a/#", "").Append(nil, packet.V5), packet.MalformedPacket, "malformed-packet"}, // [MQTT-3.3.2-2]
		{"deep topic", true, pub(strings.Repeat("/", 200), "").Append(nil, packet.V5), packet.TopicNameInvalid, "topic-name-invalid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			script(t, nil, func(b *bench) {
				other := b.client(packet.V311, "good")
				p := b.peer(packet.V5)
				if test.greet {
					p = b.client(packet.V5, "bad")
				}
				p.WriteBytes(test.bytes)
				if test.reason != 0 {
					p.WantDisconnect(test.name, test.reason)
				} else {
					p.WantClosed(test.name)
				}
				b.wantEnd(test.why)
				other.Write(&packet.Pingreq{})
				other.Want("the other client", &packet.Pingresp{})
			})
		})
	}
}

func TestConnectTimeout(t *testing.T) {
	script(t, nil, func(b *bench) {
		p := b.peer(packet.V5)
		time.Sleep(DefaultConnectTimeout / 2)
		p.WantIdle("half the time")
		for _, b := range (&packet.Connect{Version: packet.V5, ClientID: "slow"}).Append(nil, packet.V5)[:6] {
			p.WriteBytes([]byte{b})
			time.Sleep(time.Second)
		}
		p.WantClosed("no CONNECT")
		b.wantEnd("connect-timeout")
	})
}

func TestKeepAlive(t *testing.T) { // [MQTT-3.1.2-22]
	script(t, nil, func(b *bench) {
		p := b.client(packet.V5, "a", func(c *packet.Connect) { c.KeepAlive = 10 })
		for range 5 {
			time.Sleep(14 * time.Second)
			p.Write(&packet.Pingreq{})
			p.Want("within 1.5 × keep alive", &packet.Pingresp{})
		}
		time.Sleep(15 * time.Second)
		p.WantIdle("at 1.5 × keep alive")
		time.Sleep(2 * time.Second)
		p.WantDisconnect("past 1.5 × keep alive", packet.KeepAliveTimeout)
		b.wantEnd("keep-alive-timeout")
		if got := b.sessions.detached; len(got) != 1 || got[0].DropWill {
			t.Errorf("got %+v, want one detach that keeps the will", got)
		}
	})
}

// A large packet may take its time on a slow line. A byte now and then is no sign of life. [MQTT-3.1.2-22]
func TestKeepAliveOfAPacketInPieces(t *testing.T) {
	script(t, nil, func(b *bench) {
		p := b.client(packet.V311, "p", func(c *packet.Connect) { c.KeepAlive = 60 })
		large := pub("a", string(make([]byte, 100_000))).Append(nil, packet.V311)
		for range 10 { // ten minutes
			p.WriteBytes(large[:signOfLife])
			large = large[signOfLife:]
			time.Sleep(time.Minute)
			p.WantIdle("a slow line")
		}
		for range 3 {
			p.WriteBytes(large[:1])
			large = large[1:]
			time.Sleep(time.Minute)
		}
		p.WantClosed("a byte a minute")
		b.wantEnd("keep-alive-timeout")
	})
}

func TestKeepAliveOffAndLong(t *testing.T) {
	script(t, nil, func(b *bench) {
		off := b.client(packet.V311, "off")
		long := b.client(packet.V311, "long", func(c *packet.Connect) { c.KeepAlive = 600 })
		time.Sleep(14 * time.Minute)
		off.WantIdle("no keep alive")
		long.WantIdle("600 s")
		time.Sleep(2 * time.Minute)
		off.WantIdle("no keep alive")
		long.WantClosed("600 s")
	})
}

func TestServerKeepAlive(t *testing.T) { // [MQTT-3.2.2-21]
	script(t, func(c *Config) { c.KeepAliveMax = 20 * time.Second }, func(b *bench) {
		p := b.peer(packet.V5)
		p.Write(&packet.Connect{Version: packet.V5, ClientID: "a", CleanStart: true})
		if got := p.next().(*packet.Connack); got.Props.ServerKeepAlive != 20 {
			t.Fatalf("got %+v, want server keep alive 20", got.Props)
		}
		time.Sleep(31 * time.Second)
		p.WantDisconnect("silence", packet.KeepAliveTimeout)
	})
}

func TestTakeOver(t *testing.T) { // [MQTT-3.1.4-3]
	script(t, nil, func(b *bench) {
		first := b.client(packet.V5, "a")
		second := b.client(packet.V311, "a")
		first.WantDisconnect("the first", packet.SessionTakenOver)
		second.Write(&packet.Pingreq{})
		second.Want("the second", &packet.Pingresp{})
		b.wantEnd("session-taken-over")
	})
}

func TestSessionExpiryOfCONNECT(t *testing.T) {
	expiry := func(s uint32) func(*packet.Connect) {
		return func(c *packet.Connect) {
			c.Props = (&packet.Properties{SessionExpiry: s}).Mark(packet.PropSessionExpiry)
		}
	}
	script(t, func(c *Config) { c.SessionExpiryMax = time.Hour }, func(b *bench) {
		b.client(packet.V311, "a")
		b.client(packet.V311, "b", func(c *packet.Connect) { c.CleanStart = false })
		b.client(packet.V5, "c", expiry(60))
		b.client(packet.V5, "d", expiry(0xFFFFFFFF))
		want := []time.Duration{0, time.Hour, time.Minute, time.Hour}
		for i, req := range b.sessions.opened {
			if req.Expiry != want[i] {
				t.Errorf("session %s: got expiry %v, want %v", req.ClientID, req.Expiry, want[i])
			}
		}
	})
}

func TestDisconnect(t *testing.T) {
	script(t, nil, func(b *bench) {
		b.client(packet.V311, "a").Write(&packet.Disconnect{})
		synctest.Wait()
		b.client(packet.V5, "b").Write(&packet.Disconnect{Reason: packet.DisconnectWithWill})
		synctest.Wait()
		late := (&packet.Properties{SessionExpiry: 9}).Mark(packet.PropSessionExpiry)
		c := b.client(packet.V5, "c")
		c.Write(&packet.Disconnect{Props: late})
		c.WantDisconnect("expiry where it was 0", packet.ProtocolError) // section 3.14.2.2.2
		d := b.client(packet.V5, "d", func(c *packet.Connect) { c.Props = late })
		d.Write(&packet.Disconnect{Props: (&packet.Properties{SessionExpiry: 5}).Mark(packet.PropSessionExpiry)})
		d.WantClosed("goodbye")
		got := b.sessions.detached
		if len(got) != 4 || !got[0].DropWill || got[1].DropWill || got[2].DropWill || !got[3].DropWill { // [MQTT-3.14.4-3]
			t.Errorf("got %+v, want the will dropped in the first and the last only", got)
		}
		if e := got[3].Expiry; e == nil || *e != 5*time.Second {
			t.Errorf("got expiry %v, want 5 s", e)
		}
		b.wantCount(`mangrove_connections_closed_total{reason="client-disconnect"}`, 3)
	})
}

func TestGracefulClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		five, three := b.client(packet.V5, "a"), b.client(packet.V311, "b")
		if err := b.srv.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		five.WantDisconnect("5.0", packet.ServerShuttingDown)
		three.WantClosed("3.1.1")
		if len(b.sessions.detached) != 2 {
			t.Errorf("got %d detached sessions, want 2", len(b.sessions.detached))
		}
		if err := b.srv.Close(t.Context()); err != nil {
			t.Errorf("second Close: %v", err)
		}
		b.peer(packet.V5).WantClosed("a connection after Close")
	})
}
