package broker

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// limit grants every later peer these limits.
func (b *bench) limit(l Limits) { b.srv.grants = b.srv.cfg.grant(l) }

// greeting connects and returns CONNACK.
func (b *bench) greeting(v packet.Version, id string) (*peer, *packet.Connack) {
	b.t.Helper()
	p := b.peer(v)
	p.Write(&packet.Connect{Version: v, ClientID: id, CleanStart: true})
	got, ok := p.next().(*packet.Connack)
	if !ok || got.Reason != packet.Success {
		b.t.Fatalf("got %+v, want CONNACK with success", got)
	}
	return p, got
}

func TestLimitsAreAnnounced(t *testing.T) {
	script(t, nil, func(b *bench) {
		_, got := b.greeting(packet.V5, "plain")
		const quiet = 1<<packet.PropMaximumQoS | 1<<packet.PropRetainAvailable | 1<<packet.PropWildcardAvailable |
			1<<packet.PropSharedAvailable | 1<<packet.PropSubscriptionIDsAllowed
		if got.Props.Set&quiet != 0 {
			t.Errorf("got %+v, want nothing switched off", got.Props)
		}

		b.limit(Limits{MaxPacket: 2000, ReceiveMaximum: 3, TopicAliasMaximum: 4, MaxQoS: 1,
			NoRetain: true, NoWildcards: true, NoShared: true, NoSubscriptionIDs: true})
		_, got = b.greeting(packet.V5, "limited")
		p := got.Props
		if p.MaximumPacketSize != 2000 || p.ReceiveMaximum != 3 || p.TopicAliasMaximum != 4 {
			t.Errorf("got %+v, want the listener's bounds", p)
		}
		if p.Set&quiet != quiet || p.MaximumQoS != 1 || p.RetainAvailable+p.WildcardAvailable+p.SharedAvailable+p.SubscriptionIDsAllowed != 0 {
			t.Errorf("got %+v, want QoS 1 at most and the rest off", p) // [MQTT-3.2.2-9]
		}
		b.limit(Limits{TopicAliasMaximum: -1, MaxQoS: QoS0Only})
		if _, got = b.greeting(packet.V5, "least"); got.Props.Has(packet.PropTopicAliasMaximum) || !got.Props.Has(packet.PropMaximumQoS) || got.Props.MaximumQoS != 0 {
			t.Errorf("got %+v, want QoS 0 and no aliases", got.Props)
		}
	})
}

// What the listener does not grant ends a 5.0 connection with its own reason.
func TestLimitsAreHeld(t *testing.T) {
	withID := sub(1, "a")
	withID.Props = (&packet.Properties{SubscriptionIDs: []uint32{1}}).Mark(packet.PropSubscriptionID)
	kept := pub("a", "x")
	kept.Retain = true
	aliased := pub("a", "x")
	aliased.Props = (&packet.Properties{TopicAlias: 1}).Mark(packet.PropTopicAlias)
	for _, test := range []struct {
		name   string
		limits Limits
		send   packet.Packet
		reason packet.ReasonCode
	}{
		{"wildcard", Limits{NoWildcards: true}, sub(1, "a/+"), packet.WildcardNotSupported},
		{"shared", Limits{NoShared: true}, sub(1, "$share/g/a"), packet.SharedNotSupported},
		{"wildcard in a shared filter", Limits{NoWildcards: true}, sub(1, "$share/g/#"), packet.WildcardNotSupported},
		{"subscription identifier", Limits{NoSubscriptionIDs: true}, withID, packet.SubscriptionIDsNotSupported},
		{"retain", Limits{NoRetain: true}, kept, packet.RetainNotSupported},                                // [MQTT-3.2.2-14]
		{"QoS 1", Limits{MaxQoS: QoS0Only}, pubQ(1, 1, "a", ""), packet.QoSNotSupported},                   // [MQTT-3.2.2-11]
		{"QoS 2", Limits{MaxQoS: 1}, pubQ(2, 1, "a", ""), packet.QoSNotSupported},                          // [MQTT-3.2.2-11]
		{"deep topic", Limits{TopicLevels: 3}, pub("a/b/c/d", ""), packet.TopicNameInvalid},                //
		{"packet size", Limits{MaxPacket: 100}, pub("a", strings.Repeat("x", 100)), packet.PacketTooLarge}, //
		{"topic alias", Limits{TopicAliasMaximum: -1}, aliased, packet.TopicAliasInvalid},                  // [MQTT-3.3.2-9]
	} {
		t.Run(test.name, func(t *testing.T) {
			script(t, nil, func(b *bench) {
				b.limit(test.limits)
				p := b.client(packet.V5, "c")
				p.Write(test.send)
				p.WantDisconnect(test.name, test.reason)

				b.limit(Limits{})
				q := b.client(packet.V5, "d")
				q.Write(test.send, &packet.Pingreq{})
				for got := q.next(); got.Type() != packet.PINGRESP; got = q.next() {
				}
				q.WantIdle("without the limit")
			})
		})
	}
}

func TestLimitsBefore5(t *testing.T) {
	script(t, nil, func(b *bench) {
		b.limit(Limits{NoWildcards: true, NoShared: true, NoRetain: true, MaxQoS: 1, TopicLevels: 3})
		p := b.client(packet.V311, "c")
		p.Write(sub(1, "a/+", "$share/g/a", "a 2", "a/b/c/d"))
		p.Want("what is off", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0x80, 0x80, 1, 0x80}}) // [MQTT-3.2.2-10]
		kept := pub("a", "x")
		kept.Retain = true
		p.Write(kept)
		p.Want("live", pub("a", "x"))
		if len(b.retained.byTopic) != 0 {
			t.Errorf("got %d retained messages, want RETAIN ignored", len(b.retained.byTopic))
		}
		p.Write(pubQ(2, 1, "a", "x"))
		p.WantClosed("QoS 2")
		b.wantEnd("qos-not-supported")
	})
}

func TestWillAboveTheLimits(t *testing.T) {
	for _, test := range []struct {
		limits Limits
		will   packet.Will
		reason packet.ReasonCode
	}{
		{Limits{MaxQoS: 1}, packet.Will{Topic: "w", QoS: 2}, packet.QoSNotSupported},               // [MQTT-3.2.2-12]
		{Limits{NoRetain: true}, packet.Will{Topic: "w", Retain: true}, packet.RetainNotSupported}, // [MQTT-3.2.2-13]
		{Limits{TopicLevels: 1}, packet.Will{Topic: "w/x"}, packet.TopicNameInvalid},
	} {
		script(t, nil, func(b *bench) {
			b.limit(test.limits)
			p := b.peer(packet.V5)
			p.Write(&packet.Connect{Version: packet.V5, ClientID: "c", Will: &test.will})
			p.Want("refusal", &packet.Connack{Reason: test.reason})
			p.WantClosed("after the refusal")
		})
	}
}

func TestDeepFilterOfTheListener(t *testing.T) {
	script(t, nil, func(b *bench) {
		b.limit(Limits{TopicLevels: 2})
		p := b.client(packet.V5, "c")
		p.Write(sub(1, "a/b/c", "a/b", "$share/g/a/b"))
		p.Want("three levels", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{packet.TopicFilterInvalid, 0, 0}})
	})
}

func TestExpiryAndKeepAliveOfTheListener(t *testing.T) {
	script(t, nil, func(b *bench) {
		b.limit(Limits{SessionExpiryMax: 10 * time.Second, KeepAliveMax: 20 * time.Second})
		p := b.peer(packet.V5)
		props := (&packet.Properties{SessionExpiry: 11}).Mark(packet.PropSessionExpiry)
		p.Write(&packet.Connect{Version: packet.V5, ClientID: "c", KeepAlive: 60, Props: props})
		got := p.next().(*packet.Connack)
		if got.Props.SessionExpiry != 10 || got.Props.ServerKeepAlive != 20 { // [MQTT-3.2.2-21]
			t.Errorf("got %+v, want 10 s and 20 s", got.Props)
		}
		if open := b.sessions.opened[0]; open.Expiry != 10*time.Second {
			t.Errorf("got a session of %v, want 10 s", open.Expiry)
		}
		time.Sleep(31 * time.Second)
		p.WantDisconnect("silence", packet.KeepAliveTimeout)
		b.client(packet.V311, "old", func(c *packet.Connect) { c.CleanStart = false })
		if open := b.sessions.opened[1]; open.Expiry != 10*time.Second {
			t.Errorf("got a 3.1.1 session of %v, want 10 s", open.Expiry)
		}
	})
}

func TestLimitsThatCannotBe(t *testing.T) {
	for _, l := range []Limits{
		{KeepAliveMax: time.Millisecond}, {KeepAliveMax: 70_000 * time.Second}, {SessionExpiryMax: 1 << 32 * time.Second},
		{TopicAliasMaximum: 65536}, {TopicLevels: -1}, {MaxQoS: 3}, {MaxQoS: -2}, {Redirect: Redirect{To: strings.Repeat("x", 70_000)}},
	} {
		r := testRouter()
		if _, err := New(Config{Router: r, Sessions: newMemSessions(r), Listeners: []ListenerConfig{{Addr: "127.0.0.1:0", Limits: l}}}); err == nil {
			t.Errorf("got no error for %+v", l)
		}
	}
}

func TestRedirect(t *testing.T) {
	script(t, nil, func(b *bench) {
		for _, moved := range []bool{false, true} {
			b.limit(Limits{Redirect: Redirect{To: "other:1883 third", Moved: moved}})
			reason := packet.UseAnotherServer
			if moved {
				reason = packet.ServerMoved
			}
			p := b.peer(packet.V5)
			p.Write(&packet.Connect{Version: packet.V5, ClientID: "c", Username: "nobody", HasUser: true})
			p.Want("5.0", &packet.Connack{Reason: reason, Props: refer(nil, "other:1883 third")})
			p.WantClosed("5.0")
			q := b.peer(packet.V311)
			q.Write(&packet.Connect{Version: packet.V311, ClientID: "c"})
			q.Want("3.1.1", &packet.Connack{Reason: packet.ServerUnavailable})
			q.WantClosed("3.1.1")
		}
		if len(b.sessions.opened) != 0 {
			t.Error("a session was opened")
		}
	})
}

func TestRedirectOnShutdown(t *testing.T) {
	script(t, func(c *Config) { c.ShutdownReference = "other:1883" }, func(b *bench) {
		p, q := b.client(packet.V5, "p"), b.client(packet.V311, "q")
		small := b.client(packet.V5, "small", func(c *packet.Connect) {
			c.Props = (&packet.Properties{MaximumPacketSize: 40}).Mark(packet.PropMaximumPacketSize)
		})
		tiny := (&packet.Disconnect{Reason: packet.UseAnotherServer, Props: refer(nil, strings.Repeat("x", 30))}).Append(nil, packet.V5)
		if len(tiny) > 40 {
			t.Fatalf("got %d bytes, want the case to be about another size", len(tiny))
		}
		if err := b.srv.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		p.Want("5.0", &packet.Disconnect{Reason: packet.UseAnotherServer, Props: refer(nil, "other:1883")})
		small.Want("it fits", &packet.Disconnect{Reason: packet.UseAnotherServer, Props: refer(nil, "other:1883")})
		p.WantClosed("5.0")
		q.WantClosed("3.1.1")
		b.wantCount(`mangrove_connections_closed_total{reason="server-shutting-down"}`, 3)
	})
}

// What only explains is left out before a packet is too large, and nothing that is too large is sent.
func TestAnswersFitTheClient(t *testing.T) { // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
	script(t, nil, func(b *bench) {
		small := func(c *packet.Connect) {
			c.Props = (&packet.Properties{MaximumPacketSize: 24}).Mark(packet.PropMaximumPacketSize)
		}
		p, wide := b.client(packet.V5, "small", small), b.client(packet.V5, "wide")
		denied := func(id uint16) *packet.Publish { return pubQ(1, id, "secret/a", "") }
		p.Write(denied(1))
		p.Want("without reason string", ack(packet.PUBACK, 1, packet.NotAuthorized)) // [MQTT-3.4.2-2]
		wide.Write(denied(1), sub(2, "secret/a"), &packet.Unsubscribe{PacketID: 3, Filters: []string{"x"}})
		if got := wide.next().(*packet.Ack); got.Reason != packet.NotAuthorized || got.Props == nil || got.Props.ReasonString == "" {
			t.Errorf("got %+v, want PUBACK with a reason string", got)
		}
		if got := wide.next().(*packet.Suback); got.Props == nil || got.Props.ReasonString == "" {
			t.Errorf("got %+v, want SUBACK with a reason string", got)
		}
		wide.Want("nothing failed", &packet.Unsuback{PacketID: 3, Reasons: []packet.ReasonCode{packet.NoSubscriptionExisted}})

		p.Write(sub(2, "secret/a"))
		p.Want("SUBACK without reason string", &packet.Suback{PacketID: 2, Reasons: []packet.ReasonCode{packet.NotAuthorized}}) // [MQTT-3.9.2-1]
		p.Write(sub(3, strings.Split(strings.Repeat("a ", 30)+"a", " ")...))
		p.WantDisconnect("SUBACK of 36 bytes", packet.PacketTooLarge)
	})
}

func TestConnackFitsTheClient(t *testing.T) { // [MQTT-3.1.2-24]
	script(t, nil, func(b *bench) {
		for size, want := range map[uint32]packet.Packet{
			24: nil, // success, told by client
			10: &packet.Connack{Reason: packet.PacketTooLarge},
			4:  nil,
		} {
			p := b.peer(packet.V5)
			props := (&packet.Properties{MaximumPacketSize: size}).Mark(packet.PropMaximumPacketSize)
			p.Write(&packet.Connect{Version: packet.V5, ClientID: "c", CleanStart: true, Props: props})
			switch {
			case want != nil:
				p.Want("too large", want)
				fallthrough
			case size == 4:
				p.WantClosed("too large")
			default:
				if got, ok := p.next().(*packet.Connack); !ok || got.Reason != packet.Success {
					t.Errorf("size %d: got %+v, want success", size, got)
				}
			}
		}
		if len(b.sessions.opened) != 1 {
			t.Errorf("got %d sessions, want none for clients that were refused", len(b.sessions.opened))
		}
	})
}

func TestNoReasonStringUnlessWanted(t *testing.T) { // [MQTT-3.1.2-29]
	script(t, nil, func(b *bench) {
		p := b.client(packet.V5, "c", func(c *packet.Connect) { c.Props = (&packet.Properties{}).Mark(packet.PropRequestProblemInfo) })
		p.Write(pubQ(1, 1, "secret/a", ""), sub(2, "secret/a"))
		for range 2 {
			if got := p.next(); bytes.Contains(got.Append(nil, packet.V5), []byte("permitted")) {
				t.Errorf("got %+v, want no reason string", got)
			}
		}
	})
}

// A CONNECT may write its length in more bytes than needed before 5.0, not in 5.0. [MQTT-1.5.5-1]
// A read that brings nothing, and no error, is no fault of the client, and not the end.
func TestReadsOfNothing(t *testing.T) {
	script(t, nil, func(b *bench) {
		p := b.peer(packet.V5)
		p.WriteBytes(nil)
		p.WriteBytes((&packet.Connect{Version: packet.V5, ClientID: "a", CleanStart: true}).Append(nil, packet.V5))
		if got, ok := p.next().(*packet.Connack); !ok || got.Reason != packet.Success {
			t.Errorf("got %+v, want CONNACK", got)
		}
		p.WriteBytes(nil)
		p.Write(&packet.Pingreq{})
		p.Want("an answer", &packet.Pingresp{})
	})
}

func TestPaddedCONNECT(t *testing.T) {
	for _, v := range []packet.Version{packet.V31, packet.V311, packet.V5} {
		script(t, nil, func(b *bench) {
			p := b.peer(v)
			c := (&packet.Connect{Version: v, ClientID: "a", CleanStart: true}).Append(nil, v)
			p.WriteBytes(append([]byte{c[0], c[1] | 0x80, 0}, c[2:]...))
			got := p.next().(*packet.Connack)
			want := packet.Success
			if v == packet.V5 {
				want = packet.MalformedPacket
			}
			if got.Reason != want {
				t.Errorf("version %d: got %v, want %v", v, got.Reason, want)
			}
		})
	}
}
