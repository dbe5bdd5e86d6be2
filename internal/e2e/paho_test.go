package e2e

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// wait bounds every exchange with a node.
const wait = 20 * time.Second

// client is a client that we did not write: paho.golang.
type client struct {
	t    *testing.T
	addr string
	id   string

	session  *state.State // survives reconnects
	paho     *paho.Client
	messages chan *paho.Publish // everything received, over all connections
}

// newClient returns a client with a persistent session, not yet connected.
func newClient(t *testing.T, addr, id string) *client {
	return &client{t: t, addr: addr, id: id, session: state.NewInMemory(), messages: make(chan *paho.Publish, 100_000)}
}

// dial connects and tells whether the node had the session.
func dial(t *testing.T, addr, id string) *client {
	t.Helper()
	c := newClient(t, addr, id)
	c.connect()
	return c
}

func (c *client) connect() (present bool) {
	c.t.Helper()
	ack, err := c.tryConnect()
	if err != nil {
		c.t.Fatalf("connect %s to %s: %v", c.id, c.addr, err)
	}
	return ack.SessionPresent
}

func (c *client) tryConnect() (*paho.Connack, error) {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return nil, err
	}
	p := paho.NewClient(paho.ClientConfig{
		ClientID: c.id, Conn: conn, Session: c.session, PacketTimeout: wait,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			c.messages <- r.Packet
			return true, nil
		}},
	})
	expiry, window := uint32(3600), uint16(64)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	ack, err := p.Connect(ctx, &paho.Connect{ClientID: c.id, KeepAlive: 60, Properties: &paho.ConnectProperties{
		SessionExpiryInterval: &expiry, ReceiveMaximum: &window, RequestProblemInfo: true}})
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.paho = p
	c.t.Cleanup(func() { conn.Close() })
	return ack, nil
}

func (c *client) subscribe(filter string, qos byte) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if _, err := c.paho.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}}); err != nil {
		c.t.Fatalf("subscribe %s to %s: %v", c.id, filter, err)
	}
}

// publish returns when the node has acknowledged.
func (c *client) publish(topic, payload string, qos byte, retain bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	resp, err := c.paho.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: retain})
	if err != nil {
		c.t.Fatalf("publish %q to %s: %v (response %+v)", payload, topic, err, resp)
	}
}

// publishNumbered publishes prefix-from … prefix-(to-1), each acknowledged before the next.
func (c *client) publishNumbered(topic, prefix string, from, to int, qos byte) {
	c.t.Helper()
	for i := from; i < to; i++ {
		c.publish(topic, numbered(prefix, i), qos, false)
	}
}

func (c *client) disconnect() {
	c.t.Helper()
	if err := c.paho.Disconnect(&paho.Disconnect{}); err != nil {
		c.t.Fatalf("disconnect %s: %v", c.id, err)
	}
	<-c.paho.Done()
}

// end disconnects and ends the session.
func (c *client) end() {
	c.t.Helper()
	now := uint32(0)
	err := c.paho.Disconnect(&paho.Disconnect{Properties: &paho.DisconnectProperties{SessionExpiryInterval: &now}})
	if err != nil {
		c.t.Fatalf("disconnect %s: %v", c.id, err)
	}
	<-c.paho.Done()
}

// want takes the next message.
func (c *client) want(why, topic, payload string) *paho.Publish {
	c.t.Helper()
	select {
	case m := <-c.messages:
		if m.Topic != topic || string(m.Payload) != payload {
			c.t.Fatalf("%s: got %s %q, want %s %q", why, m.Topic, m.Payload, topic, payload)
		}
		return m
	case <-time.After(wait):
		c.t.Fatalf("%s: got nothing in %v, want %s %q", why, wait, topic, payload)
	}
	return nil
}

// wantNumbered wants prefix-from … prefix-(to-1) in order, once each.
func (c *client) wantNumbered(why, topic, prefix string, from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		c.want(why, topic, numbered(prefix, i))
	}
}

// wantNothingBefore publishes a marker that takes the same way as what must not come, and wants the marker first.
func (c *client) wantNothingBefore(why string, from *client, topic, marker string) {
	c.t.Helper()
	from.publish(topic, marker, 1, false)
	c.want(why, topic, marker)
}

func numbered(prefix string, i int) string { return fmt.Sprintf("%s-%d", prefix, i) }

func afterWait() <-chan time.Time { return time.After(wait) }

// tryPublish is publish for a node that may be killed meanwhile.
func (c *client) tryPublish(topic, payload string, qos byte) (acknowledged bool) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	go func() { // ends with the publish
		select {
		case <-c.paho.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	_, err := c.paho.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: qos})
	return err == nil
}

// splitNumbered takes prefix-n apart.
func splitNumbered(t *testing.T, s string) (prefix string, n int) {
	t.Helper()
	i := strings.LastIndexByte(s, '-')
	n, err := strconv.Atoi(s[i+1:])
	if i < 0 || err != nil {
		t.Fatalf("got payload %q, want prefix-number", s)
	}
	return s[:i], n
}
