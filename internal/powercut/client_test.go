package powercut

import (
	"fmt"
	"sync"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// client is what publishers and subscribers have in common: a session that outlives its connections.
type client struct {
	w        *world
	id       string
	session  mqtt.Session // nil = not connected
	out      *outlet
	busy     bool // a call that waits for the disk is under way
	known    bool // CONNACK has come: there is a session
	clean    bool // the next connection begins a new session
	fleeting bool // its session ends with each connection
	will     *message
}

// packetIn is a packet on its way to a client.
type packetIn struct {
	kind    packet.Type
	id      uint16
	topic   string
	payload string
	qos     byte
	retain  bool
	dup     bool
}

// outlet is a connection's way to its client. What is sent after the power went does not arrive.
type outlet struct {
	w *world

	mu    sync.Mutex
	inbox []packetIn
	full  bool
	ends  bool // the client connects again beside it
}

func (o *outlet) add(p packetIn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.w.gone() {
		o.inbox = append(o.inbox, p)
	}
}

// take empties the inbox.
func (o *outlet) take() []packetIn {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.inbox
	o.inbox = nil
	return all
}

// setFull has the output buffer full, or not any more.
func (o *outlet) setFull(full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full = full
}

// taken has the connection end when the client connects again.
func (o *outlet) taken() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ends = true
}

// Publish implements mqtt.Outlet.
func (o *outlet) Publish(m *mqtt.Message, d mqtt.Delivery, id uint16, dup bool) mqtt.SendResult {
	o.mu.Lock()
	full := o.full
	o.mu.Unlock()
	if full {
		return mqtt.Full
	}
	o.add(packetIn{kind: packet.PUBLISH, id: id, topic: m.Topic, payload: string(m.Payload), qos: d.QoS, retain: d.Retain, dup: dup})
	return mqtt.Sent
}

// Ack implements mqtt.Outlet.
func (o *outlet) Ack(kind packet.Type, id uint16, _ packet.ReasonCode) {
	o.add(packetIn{kind: kind, id: id})
}

// Close implements mqtt.Outlet: the node gave up the connection, which it may do without power only.
func (o *outlet) Close(reason packet.ReasonCode) {
	o.mu.Lock()
	ends := o.ends
	o.mu.Unlock()
	if !o.w.gone() && !ends {
		o.w.fail("a connection was closed with reason 0x%02X", byte(reason))
	}
}

// connect opens the session; answered runs when CONNACK has come.
func (c *client) connect(will *message, answered func()) {
	req := mqtt.OpenRequest{ClientID: c.id, Clean: c.clean, Expiry: -1, ReceiveMaximum: receiveMaximum}
	if c.fleeting {
		req.Clean, req.Expiry = true, 0
	}
	if will != nil {
		req.Will = will.mqtt()
	}
	out := &outlet{w: c.w}
	c.w.async(c, func() func() {
		s, present, err := c.w.node.sessions.Open(req, out)
		return func() {
			if err != nil {
				c.w.fail("%s: open: %v", c.id, err)
				return
			}
			if c.known && !req.Clean && !present { // P1
				c.w.fail("%s: its session is lost", c.id)
			}
			c.session, c.out, c.known, c.clean, c.will = s, out, true, false, will
			answered()
			s.Resume()
		}
	})
}

// disconnect ends the connection, in an orderly way or not.
func (c *client) disconnect(orderly bool) {
	if c.will != nil && !orderly {
		c.w.due(c.will)
	}
	c.session.Detach(c.out, mqtt.DetachRequest{DropWill: orderly})
	c.session, c.out, c.will = nil, nil, nil
}

// lose is what a power cut is to a client: of what was on its way a first part arrives, and nothing it says is heard.
func (c *client) lose(handle func(packetIn)) {
	if c.out != nil {
		inbox := c.out.take()
		for _, p := range inbox[:c.w.rng.IntN(len(inbox)+1)] {
			handle(p)
		}
	}
	if c.will != nil {
		c.w.due(c.will)
	}
	c.session, c.out, c.will, c.busy = nil, nil, nil, false
}

func (c *client) acked(kind packet.Type, id uint16) {
	if err := c.session.Acked(kind, id, packet.Success); err != nil {
		c.w.fail("%s: packet type %d for id %d: %v", c.id, kind, id, err)
	}
}

// message is one application message, or one will, and who has to get it.
type message struct {
	from    string
	n       int // within the publisher; < 0 for wills
	topic   string
	payload string
	qos     byte
	retain  bool

	handed  int                  // its number among what was handed to the router, the last time
	barred  bool                 // a will that must not come
	times   int                  // handed to the router
	holders []holding            // subscriptions that were there when it was sent last
	steady  map[*subscriber]bool // who had subscribed before it was first sent
	owed    map[*subscriber]bool // who must get it, since it was acknowledged
}

func (m *message) mqtt() *mqtt.Message {
	return &mqtt.Message{Topic: m.topic, Payload: []byte(m.payload), QoS: m.qos, Retain: m.retain, Publisher: m.from,
		From: mqtt.Source{Scope: mqtt.ScopeClient}}
}

func (m *message) String() string { return fmt.Sprintf("%q (%s, QoS %d)", m.payload, m.topic, m.qos) }
