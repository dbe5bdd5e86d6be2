package broker

import (
	"bytes"
	"errors"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/router"
	"mangrove/mqtt/topic"
)

// handlePublish publishes a message and answers as its QoS asks. [MQTT-3.3.4-1] [MQTT311-3.3.4-1]
func (c *conn) handlePublish(s *step, flags byte, body []byte) error {
	p := &s.publish
	if err := p.Decode(flags, body, c.version); err != nil {
		return err
	}
	s.received[p.QoS]++
	if p.Props.Has(packet.PropSubscriptionID) { // [MQTT-3.3.4-6]
		return &packet.Error{Reason: packet.ProtocolError, Rule: "MQTT-3.3.4-6", Detail: "subscription identifier from a client"}
	}
	if err := c.grants.mayPublish(c.version, p.QoS, p.Retain, true); err != nil {
		return err
	}
	name, err := c.topicOf(p)
	if err != nil {
		return err
	}
	to, err := c.rd.matches.Get(c.srv.router, c.client.ID, name, c.grants.TopicLevels)
	if err != nil {
		return invalidName(err)
	}
	if p.QoS == 0 {
		if c.mayPublish(to.Name) == packet.Success {
			c.route(s, p, to, s.qos0)
		} else {
			c.srv.metrics.denied.Inc()
		}
		return nil
	}
	return c.publishAcked(s, p, to)
}

// invalidName is what topic.CheckName found, for DISCONNECT.
func invalidName(err error) error {
	fault := &packet.Error{Reason: packet.TopicNameInvalid, Detail: err.Error()}
	if wrong := (*topic.Error)(nil); errors.As(err, &wrong) { // [MQTT-4.7.3-1] [MQTT-4.7.0-1]
		fault.Rule, fault.Detail = wrong.Rule, wrong.Detail
	}
	return fault
}

// publishAcked is PUBLISH of QoS 1 and 2: an acknowledgement is owed. Packet ids of QoS 1 are not
// remembered. [MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT-4.3.3-8] [MQTT311-4.3.2-2] [MQTT311-4.3.3-2]
func (c *conn) publishAcked(s *step, p *packet.Publish, to *router.Topic) error {
	ack, err := c.expect(s, p)
	if err != nil {
		return err
	}
	if refusal := c.mayPublish(to.Name); refusal != packet.Success {
		c.srv.metrics.denied.Inc()
		// Before 5.0 there is no code for it: acknowledged and dropped [MQTT311-3.3.5-2].
		ack.reason = refusal
		c.acks.settle(ack, nil)
		return nil
	}
	r := &ack.receipt
	r.Start(s.batch, ack)
	r.SetSlack(to.Slack) // for the packet identifier, too
	if p.QoS == 1 {
		r.PublisherRepeats() // [MQTT-4.4.0-1]
	}
	if p.QoS == 2 && c.session.Take(p.PacketID, r) {
		c.closeReceipt(s, r) // known already: only acknowledged again [MQTT-4.3.3-10]
		return nil
	}
	c.route(s, p, to, r)
	if r.Taken() == 0 {
		c.srv.metrics.noOneListen.Inc()
		ack.reason = packet.NoMatchingSubscribers
	}
	c.closeReceipt(s, r)
	return nil
}

// closeReceipt says that all takers of a publish were asked. When one waits for the batch, the step has to commit it.
// r is not to be touched after it.
func (c *conn) closeReceipt(s *step, r *mqtt.Receipt) {
	s.waited = s.waited || r.Waits()
	s.slack = min(s.slack, r.Slack())
	r.Close()
	if s.batch.Size() > enough {
		c.commit(s)
	}
}

// enough is how much the takers of a step's publishes write together: thousands of sessions may write beside each message, and a
// store bounds what it takes at once.
const enough = 4 << 20

// expect adds p's acknowledgement to those due, within the Receive Maximum: 5.0 clients that exceed
// it are disconnected [MQTT-3.3.4-7], others are not read further until there is room.
func (c *conn) expect(s *step, p *packet.Publish) (*pending, error) {
	max := int(c.grants.ReceiveMaximum)
	if c.version < packet.V5 && int(c.acks.due.Load()) >= max {
		c.flushStep(s)
		if !c.acks.waitRoom(max) {
			return nil, errClosing
		}
		c.out.hold()
	}
	return c.acks.expect(c.version, p.QoS, p.PacketID, max)
}

// mayPublish answers Success or why not.
func (c *conn) mayPublish(topicName string) packet.ReasonCode {
	if !topic.MayPublishAs(topicName, c.client.ID) || !c.srv.cfg.Authority.MayPublish(&c.client, topic.Counted(topicName)) ||
		topic.Special(topicName) && c.srv.sys.tells(topicName) {
		return packet.NotAuthorized
	}
	return packet.Success
}

// route publishes the message of p, which is lent: it aliases the read buffer.
func (c *conn) route(s *step, p *packet.Publish, to *router.Topic, r *mqtt.Receipt) {
	m := s.loan.Lend(mqtt.Message{
		Topic: to.Name, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain && c.grants.retain,
		Publisher: c.client.ID, From: mqtt.Source{Scope: mqtt.ScopeClient},
	})
	if p.Props != nil {
		m.Props = messageProps(p.Props)
		m.Expires = expiresAt(p.Props, c.srv.now())
	}
	c.srv.router.PublishTo(to, m, r)
	s.loan.End()
}

// carried is the set of properties that travel with a message. [MQTT-3.3.2-4] [MQTT-3.3.2-15]
// [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20]
const carried = 1<<packet.PropPayloadFormat | 1<<packet.PropContentType | 1<<packet.PropResponseTopic |
	1<<packet.PropCorrelationData | 1<<packet.PropUser

// messageProps copies from p what travels with a message; nil when nothing does.
func messageProps(p *packet.Properties) *packet.Properties {
	set := p.Set & carried
	if set == 0 {
		return nil
	}
	return &packet.Properties{
		Set: set, PayloadFormat: p.PayloadFormat, ContentType: p.ContentType, ResponseTopic: p.ResponseTopic,
		CorrelationData: bytes.Clone(p.CorrelationData), User: p.User,
	}
}

// expiresAt is when a message with these properties expires; zero = never.
func expiresAt(p *packet.Properties, now time.Time) time.Time {
	if !p.Has(packet.PropMessageExpiry) {
		return time.Time{}
	}
	return now.Add(time.Duration(p.MessageExpiry) * time.Second)
}
