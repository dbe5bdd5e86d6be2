package paho

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"

	"mangrove/mqtt/packet"
)

// patience bounds every exchange. In a bubble it passes only when nobody has anything left to do.
const patience = 20 * time.Second

// client is one client id with its side of the session, which survives connections.
type client struct {
	*paho.Client // of the current connection

	t       *testing.T
	s       *server
	id      string
	session *state.State

	messages chan *paho.Publish    // everything received, over all connections
	byes     chan *paho.Disconnect // that the server sent
}

// ask is how a client connects.
type ask struct {
	*paho.Connect
	config *paho.ClientConfig
	cut    packet.Type // the line breaks in place of the first such packet of the server; 0 = it holds
}

type how func(*ask)

// keep goes on with a session, for an hour unless expiry says otherwise.
func keep(a *ask) {
	a.CleanStart = false
	if a.Properties.SessionExpiryInterval == nil {
		expiry(3600)(a)
	}
}

// fresh is a clean start of a session that is kept.
func fresh(a *ask) { expiry(3600)(a) }

func expiry(seconds uint32) how {
	return func(a *ask) { a.Properties.SessionExpiryInterval = &seconds }
}

func window(n uint16) how { return func(a *ask) { a.Properties.ReceiveMaximum = &n } }

func atMost(size uint32) how { return func(a *ask) { a.Properties.MaximumPacketSize = &size } }

func cutAt(kind packet.Type) how { return func(a *ask) { a.cut = kind } }

// byHand leaves acknowledging to take.
func byHand(a *ask) { a.config.EnableManualAcknowledgment = true }

func user(name string) how { return func(a *ask) { a.UsernameFlag, a.Username = true, name } }

func withWill(w paho.WillMessage, p *paho.WillProperties) how {
	return func(a *ask) { a.WillMessage, a.WillProperties = &w, p }
}

// newClient is a client that is not connected yet.
func (s *server) newClient(id string) *client {
	return &client{t: s.t, s: s, id: id, session: state.NewInMemory(),
		messages: make(chan *paho.Publish, 10_000), byes: make(chan *paho.Disconnect, 10)}
}

// client connects, which must succeed.
func (s *server) client(id string, hows ...how) *client {
	s.t.Helper()
	c := s.newClient(id)
	c.connect(hows...)
	return c
}

// connect opens a connection, the first or the next one, which must succeed.
func (c *client) connect(hows ...how) *paho.Connack {
	c.t.Helper()
	ack, err := c.tryConnect(hows...)
	if err != nil {
		c.t.Fatalf("connect %s: %v", c.id, err)
	}
	return ack
}

func (c *client) tryConnect(hows ...how) (*paho.Connack, error) {
	a := &ask{Connect: &paho.Connect{ClientID: c.id, CleanStart: true, Properties: &paho.ConnectProperties{RequestProblemInfo: true}},
		config: &paho.ClientConfig{ClientID: c.id, Session: c.session, PacketTimeout: patience,
			OnServerDisconnect: func(d *paho.Disconnect) { c.byes <- d },
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
				c.messages <- r.Packet
				return true, nil
			}},
		}}
	for _, h := range hows {
		h(a)
	}
	a.config.Conn = packets.NewThreadSafeConn(&line{Conn: c.s.dial(), cut: a.cut})
	c.Client = paho.NewClient(*a.config)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Connect(ctx, a.Connect)
}

// leave closes the connection without a word, once what came was acknowledged, and returns when both sides know.
func (c *client) leave() {
	synctest.Wait()
	c.TerminateConnectionForTest()
	<-c.Done()
	synctest.Wait()
}

// bye says DISCONNECT, once what came was acknowledged.
func (c *client) bye(d paho.Disconnect) {
	c.t.Helper()
	synctest.Wait()
	if err := c.Disconnect(&d); err != nil {
		c.t.Fatalf("disconnect %s: %v", c.id, err)
	}
	synctest.Wait()
}

// subscribe subscribes to one filter; the answer must be the QoS asked for.
func (c *client) subscribe(filter string, qos byte) {
	c.t.Helper()
	c.subscribeTo(0, paho.SubscribeOptions{Topic: filter, QoS: qos})
}

// subscribeTo is subscribe with options and, unless it is 0, an identifier.
func (c *client) subscribeTo(id int, o paho.SubscribeOptions) {
	c.t.Helper()
	sub := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{o}}
	if id > 0 {
		sub.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &id}
	}
	if got := c.suback(sub); len(got) != 1 || got[0] != o.QoS {
		c.t.Fatalf("subscribe to %s: got reasons %v, want QoS %d", o.Topic, got, o.QoS)
	}
}

// suback returns the reasons of the answer.
func (c *client) suback(sub *paho.Subscribe) []byte {
	c.t.Helper()
	got, err := c.Subscribe(context.Background(), sub)
	if got == nil {
		c.t.Fatalf("subscribe: %v", err)
	}
	return got.Reasons
}

// publish publishes a message and returns its outcome, when that is known.
func (c *client) publish(m *paho.Publish) packet.ReasonCode {
	c.t.Helper()
	got, err := c.Publish(context.Background(), m)
	if got == nil {
		c.t.Fatalf("publish %q: %v", m.Payload, err)
	}
	return packet.ReasonCode(got.ReasonCode)
}

// send publishes at QoS 0, which has no outcome, or as publish does.
func (c *client) send(m *paho.Publish) {
	c.t.Helper()
	if _, err := c.Publish(context.Background(), m); err != nil {
		c.t.Fatalf("publish %q: %v", m.Payload, err)
	}
}

func pub(qos byte, topic, payload string) *paho.Publish {
	return &paho.Publish{QoS: qos, Topic: topic, Payload: []byte(payload)}
}

func retained(qos byte, topic, payload string) *paho.Publish {
	return &paho.Publish{QoS: qos, Topic: topic, Payload: []byte(payload), Retain: true}
}

func expiring(m *paho.Publish, seconds uint32) *paho.Publish {
	m.Properties = &paho.PublishProperties{MessageExpiry: &seconds}
	return m
}

// next is the next message, which must come.
func (c *client) next(why string) *paho.Publish {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(patience):
		c.t.Fatalf("%s: got no message, want one", why)
		return nil
	}
}

// want checks the next message, which is sent for the first time.
func (c *client) want(why string, want *paho.Publish) *paho.Publish {
	c.t.Helper()
	return c.wantSent(why, want, false)
}

// wantAgain checks the next message, which was sent before.
func (c *client) wantAgain(why string, want *paho.Publish) *paho.Publish {
	c.t.Helper()
	return c.wantSent(why, want, true)
}

func (c *client) wantSent(why string, want *paho.Publish, again bool) *paho.Publish {
	c.t.Helper()
	got := c.next(why)
	if show(got) != show(want) || got.Duplicate() != again {
		c.t.Fatalf("%s: got %s (again %v), want %s (again %v)", why, show(got), got.Duplicate(), show(want), again)
	}
	return got
}

// show is all of a message but its packet id, DUP and topic alias.
func show(m *paho.Publish) string {
	p := paho.PublishProperties{}
	if m.Properties != nil {
		p = *m.Properties
	}
	p.TopicAlias = nil
	if len(p.User) == 0 {
		p.User = nil
	}
	if len(p.CorrelationData) == 0 {
		p.CorrelationData = nil
	}
	props, err := json.Marshal(p)
	if err != nil {
		panic("BUG: properties are plain values: " + err.Error())
	}
	return fmt.Sprintf("%.100q %q QoS %d retain %v %s", m.Topic, m.Payload, m.QoS, m.Retain, props)
}

// take acknowledges a message of a client that does so by hand.
func (c *client) take(m *paho.Publish) {
	c.t.Helper()
	if err := c.Ack(m); err != nil {
		c.t.Fatalf("acknowledge %s: %v", show(m), err)
	}
	time.Sleep(time.Second) // in the bubble: the library sends acknowledgements by a ticker
	synctest.Wait()
}

// wantIdle checks that the server sends no message and keeps the connection.
func (c *client) wantIdle(why string) {
	c.t.Helper()
	synctest.Wait()
	select {
	case m := <-c.messages:
		c.t.Fatalf("%s: got %s, want nothing", why, show(m))
	case <-c.Done():
		c.t.Fatalf("%s: got a closed connection, want an open one", why)
	default:
	}
}

// wantGone checks that the server ends the connection with DISCONNECT and that reason, and returns it.
func (c *client) wantGone(why string, reason packet.ReasonCode) *paho.Disconnect {
	c.t.Helper()
	select {
	case got := <-c.byes:
		if got.ReasonCode != byte(reason) {
			c.t.Fatalf("%s: got DISCONNECT %v, want %v", why, packet.ReasonCode(got.ReasonCode), reason)
		}
		<-c.Done()
		return got
	case <-time.After(patience):
		c.t.Fatalf("%s: got no DISCONNECT, want %v", why, reason)
		return nil
	}
}
