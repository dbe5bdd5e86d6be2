package paho

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// backdoor is a Pinger that gives its connection away, for packets that the library does not let through.
type backdoor struct {
	mute
	conn chan net.Conn
}

func (b backdoor) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	b.conn <- conn
	return b.mute.Run(ctx, conn, keepAlive)
}

// around connects a client and returns the way around it; what is written there goes out in one piece.
func (s *server) around(id string, hows ...how) (c *client, write func(...io.WriterTo)) {
	s.t.Helper()
	door := backdoor{conn: make(chan net.Conn, 1)}
	c = s.client(id, append(hows, func(a *ask) { a.config.PingHandler = door })...)
	conn := <-door.conn
	return c, func(all ...io.WriterTo) {
		s.t.Helper()
		var b bytes.Buffer
		for _, p := range all {
			if _, err := p.WriteTo(&b); err != nil {
				s.t.Fatal(err)
			}
		}
		_, _ = conn.Write(b.Bytes()) // fails when the server ends the connection before it has read all
	}
}

func rawPublish(qos byte, id uint16, retain bool) *packets.Publish {
	return &packets.Publish{QoS: qos, PacketID: id, Topic: "t", Retain: retain, Properties: &packets.Properties{}}
}

func rawSubscribe(filter string, ids *packets.Properties) *packets.Subscribe {
	return &packets.Subscribe{PacketID: 1, Subscriptions: []packets.SubOptions{{Topic: filter}}, Properties: ids}
}

// wantGoneNow is wantGone where the time has come: it does not wait.
func (c *client) wantGoneNow(why string, reason packet.ReasonCode) {
	c.t.Helper()
	synctest.Wait()
	select {
	case <-c.Done():
	default:
		c.t.Fatalf("%s: got an open connection, want a closed one", why)
	}
	c.wantGone(why, reason)
}

// A server that shuts down says so, and where to go if it knows; it says nothing of the session's expiry. [MQTT-3.14.2-2]
func TestShutdown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reference string
		reason    packet.ReasonCode
	}{"alone": {"", packet.ServerShuttingDown}, "one of several": {"b:1883 c:1883", packet.UseAnotherServer}} {
		t.Run(name, func(t *testing.T) {
			scriptWith(t, func(c *broker.Config) { c.ShutdownReference = test.reference }, func(s *server) {
				all := []*client{s.client("kept", fresh), s.client("clean")}
				s.Restart()
				for _, c := range all {
					got := c.wantGone("shut down", test.reason).Properties
					if got.ServerReference != test.reference || got.SessionExpiryInterval != nil {
						t.Errorf("%s: got %+v, want server reference %q and no expiry", c.id, got, test.reference)
					}
				}
				if !all[0].connect(keep).SessionPresent {
					t.Error("got no session after the restart, want it")
				}
			})
		})
	}
}

// More unacknowledged publishes than the server's Receive Maximum end the connection, and no other. [MQTT-3.3.4-7]
func TestReceiveMaximumExceeded(t *testing.T) {
	scriptWith(t, func(c *broker.Config) { c.ReceiveMaximum = 2 }, func(s *server) {
		w := s.client("w", fresh) // its session is what acknowledgements wait for
		w.subscribe("t", 1)
		c, write := s.around("c")
		for range 2 {
			write(rawPublish(1, 1001, false), rawPublish(1, 1002, false))
			c.wantIdle("as many as allowed")
		}
		write(rawPublish(1, 1001, false), rawPublish(1, 1002, false), rawPublish(1, 1003, false))
		c.wantGone("one more", packet.ReceiveMaximumExceeded)
		for range 4 {
			w.want("the other connection", pub(1, "t", ""))
		}
	})
}

// The server's own bounds hold for those who pass them over: packet size and topic alias. [MQTT-3.2.2-15] [MQTT-3.2.2-17]
func TestBoundsExceeded(t *testing.T) {
	scriptWith(t, func(c *broker.Config) { c.MaxPacket, c.TopicAliasMaximum = 1000, 3 }, func(s *server) {
		c, write := s.around("c")
		large := rawPublish(0, 0, false)
		large.Payload = make([]byte, 1000)
		write(large)
		c.wantGone("a large packet", packet.PacketTooLarge)
		c, write = s.around("c")
		aliased := rawPublish(0, 0, false)
		aliased.Properties.TopicAlias = paho.Uint16(4)
		write(aliased)
		c.wantGone("alias 4 of 3", packet.TopicAliasInvalid)
	})
}

// The server's keep alive outranks the client's: the library obeys it and stays, who does not is disconnected. Without one
// the client's own counts, and 0 is none. [MQTT-3.1.2-22] [MQTT-3.2.2-21] [MQTT-3.2.2-22]
func TestServerKeepAlive(t *testing.T) {
	scriptWith(t, func(c *broker.Config) { c.KeepAliveMax = 20 * time.Second }, func(s *server) {
		obeys := s.client("obeys", func(a *ask) { a.KeepAlive = 1000 })
		deaf, short := s.client("deaf", silent(1000)), s.client("short", silent(10))
		time.Sleep(14 * time.Second)
		short.wantIdle("within its own")
		time.Sleep(2 * time.Second)
		short.wantGoneNow("1.5 times its own", packet.KeepAliveTimeout)
		time.Sleep(13 * time.Second)
		deaf.wantIdle("within the server's")
		time.Sleep(2 * time.Second)
		deaf.wantGoneNow("1.5 times the server's", packet.KeepAliveTimeout)
		time.Sleep(time.Hour)
		obeys.wantIdle("an hour of pings")
	})
}

// DISCONNECT cannot give an expiry to a session without one. Section 3.14.2.2.2.
func TestDisconnectCannotAddExpiry(t *testing.T) {
	script(t, func(s *server) {
		c := s.client("c", leaves(0))
		w := s.watcher()
		c.bye(paho.Disconnect{Properties: &paho.DisconnectProperties{SessionExpiryInterval: paho.Uint32(1000)}})
		w.want("a protocol error is no normal end", pub(0, "w", "gone"))
		if c.connect(keep).SessionPresent {
			t.Error("got a session, want none")
		}
	})
}

// A listener that sends its clients elsewhere refuses them and names the place. Section 4.11.
func TestRedirect(t *testing.T) {
	for why, test := range map[string]struct {
		to   broker.Redirect
		want packet.ReasonCode
	}{
		"for now":  {broker.Redirect{To: "b:1883"}, packet.UseAnotherServer},
		"for good": {broker.Redirect{To: "b:1883 c", Moved: true}, packet.ServerMoved},
	} {
		s := listening(t, broker.Limits{Redirect: test.to})
		got, err := s.newClient("c").tryConnect()
		if err == nil || got == nil || got.ReasonCode != byte(test.want) || got.Properties.ServerReference != test.to.To {
			t.Errorf("%s: got %v, %v; want %v to %s", why, got, err, test.want, test.to.To)
		}
	}
}

// What a listener does not offer CONNACK says, and who wants it all the same is disconnected with the reason for it.
// Sections 3.2.2.3 and 3.14.2.1.
func TestNotAvailable(t *testing.T) {
	id := 1
	for why, test := range map[string]struct {
		limits broker.Limits
		told   func(*paho.ConnackProperties) bool
		send   io.WriterTo
		reason packet.ReasonCode
	}{
		"retaining": {broker.Limits{NoRetain: true}, func(p *paho.ConnackProperties) bool { return !p.RetainAvailable },
			rawPublish(0, 0, true), packet.RetainNotSupported},
		"wildcards": {broker.Limits{NoWildcards: true}, func(p *paho.ConnackProperties) bool { return !p.WildcardSubAvailable },
			rawSubscribe("a/+", nil), packet.WildcardNotSupported},
		"shared subscriptions": {broker.Limits{NoShared: true}, func(p *paho.ConnackProperties) bool { return !p.SharedSubAvailable },
			rawSubscribe("$share/g/a", nil), packet.SharedNotSupported},
		"subscription identifiers": {broker.Limits{NoSubscriptionIDs: true}, func(p *paho.ConnackProperties) bool { return !p.SubIDAvailable },
			rawSubscribe("a", &packets.Properties{SubscriptionIdentifier: &id}), packet.SubscriptionIDsNotSupported},
		"QoS 2": {broker.Limits{MaxQoS: 1}, func(p *paho.ConnackProperties) bool { return p.MaximumQoS != nil && *p.MaximumQoS == 1 },
			rawPublish(2, 1, false), packet.QoSNotSupported},
		"QoS 1": {broker.Limits{MaxQoS: broker.QoS0Only}, func(p *paho.ConnackProperties) bool { return p.MaximumQoS != nil && *p.MaximumQoS == 0 },
			rawPublish(1, 1, false), packet.QoSNotSupported},
	} {
		t.Run(why, func(t *testing.T) {
			s := listening(t, test.limits)
			if got := s.newClient("told").connect().Properties; !test.told(got) {
				t.Errorf("got %v, want it to say that", got)
			}
			c, write := s.around("c")
			write(test.send)
			c.wantGone("all the same", test.reason)
		})
	}
}

// Where QoS or retaining is bounded, a will beyond that is refused, and a subscription gets what there is. [MQTT-3.2.2-9]
// [MQTT-3.2.2-10] [MQTT-3.2.2-12] [MQTT-3.2.2-13]
func TestWillAndSubscriptionNotAvailable(t *testing.T) {
	s := listening(t, broker.Limits{MaxQoS: 1, NoRetain: true})
	for will, want := range map[*paho.WillMessage]packet.ReasonCode{
		{Topic: "w", QoS: 2}:       packet.QoSNotSupported,
		{Topic: "w", Retain: true}: packet.RetainNotSupported,
	} {
		got, err := s.newClient("c").tryConnect(withWill(*will, nil))
		if err == nil || got == nil || got.ReasonCode != byte(want) {
			t.Errorf("%+v: got %v, %v; want %v", will, got, err, want)
		}
	}
	c := s.newClient("c")
	if got := c.connect(leaves(1)).Properties.MaximumQoS; got == nil || *got != 1 {
		t.Errorf("got Maximum QoS %v, want 1", got)
	}
	got := c.suback(&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "a", QoS: 0}, {Topic: "b", QoS: 1}, {Topic: "c", QoS: 2}}})
	if !bytes.Equal(got, []byte{0, 1, 1}) {
		t.Errorf("got QoS %v, want 0, 1 and 1", got)
	}
}
