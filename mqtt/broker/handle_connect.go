package broker

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// handleConnect opens the connection, or refuses it with the CONNACK that the client's version has
// for the reason. header is the size of the fixed header.
func (c *conn) handleConnect(flags byte, body []byte, header int) error {
	var p packet.Connect
	err := p.Decode(flags, body, 0)
	c.version = p.Version.Answer()
	if err == nil { // only now it is known whether the length must be in the shortest form
		err = packet.CheckHeader(header, header+len(body), c.version) // [MQTT-1.5.5-1]
	}
	if err != nil {
		return c.refuse(err) // [MQTT-3.1.4-1] [MQTT311-3.1.4-1]
	}
	answer := &packet.Properties{}
	c.identify(&p, answer)
	c.limit(&p)
	if to := c.grants.Redirect; to.To != "" && !c.client.Link {
		return c.sendAway(to)
	}
	if p.Props.Has(packet.PropAuthMethod) {
		return c.beginExchange(flags, bytes.Clone(body), answer)
	}
	err = c.srv.cfg.Authority.Authenticate(&c.client)
	if err != nil {
		return c.refuse(err)
	}
	return c.admit(&p, answer)
}

// admit lets in a client that has proved who it is, if it may connect as it wants to. [MQTT-3.1.4-2]
func (c *conn) admit(p *packet.Connect, answer *packet.Properties) error {
	c.client.Password = nil // aliases the read buffer, and is not needed again
	if p.Will != nil {
		if err := c.admitWill(p.Will); err != nil {
			return c.refuse(err)
		}
	}
	if versions, asked := userProperty(p.Props, mqtt.LinkProperty); asked {
		return c.acceptLink(p, versions, answer)
	}
	return c.openSession(p, answer)
}

// refuse answers CONNECT with the reason of err and ends the connection: what came after CONNECT is not handled.
// [MQTT-3.1.3-8] [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT-3.2.2-7] [MQTT311-3.1.3-9] [MQTT311-3.1.4-5] [MQTT311-3.2.2-5]
func (c *conn) refuse(err error) error {
	reason, detail := packet.ServerUnavailable, ""
	if fault := (*packet.Error)(nil); errors.As(err, &fault) {
		reason, detail = fault.Reason, fault.Detail
	}
	c.send(&packet.Connack{Reason: reason, Props: c.because(reason, detail)})
	return &endError{ending{why: reasonLabel(reason), detail: err.Error(), linger: true}}
}

// sendAway tells the client to go to another server (section 4.11).
func (c *conn) sendAway(to Redirect) error {
	c.send(&packet.Connack{Reason: to.reason(), Props: refer(nil, to.To)})
	return &endError{ending{why: reasonLabel(to.reason()), detail: "sent to " + to.To, linger: true}}
}

// identify fills in who the client is. A client without id gets one; any other id is taken as it is.
// [MQTT-3.1.3-5] [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] [MQTT311-3.1.3-5] [MQTT311-3.1.3-6]
func (c *conn) identify(p *packet.Connect, answer *packet.Properties) {
	c.client = mqtt.Client{
		ID: p.ClientID, Username: p.Username, Password: p.Password, HasUser: p.HasUser,
		Addr: c.nc.RemoteAddr(), Listener: c.addr, Version: c.version,
	}
	c.rd.bridge = p.Bridge
	_, c.client.Link = userProperty(p.Props, mqtt.LinkProperty)
	if p.ClientID == "" {
		c.client.ID = "auto-" + rand.Text()
		answer.AssignedClientID = c.client.ID
		answer.Mark(packet.PropAssignedClientID)
	}
}

// limit takes over what the client said about itself.
func (c *conn) limit(p *packet.Connect) {
	c.problems = !p.Props.Has(packet.PropRequestProblemInfo) || p.Props.RequestProblemInfo != 0
	if p.Props.Has(packet.PropMaximumPacketSize) {
		c.maxOut = p.Props.MaximumPacketSize
		c.out.limit = c.maxOut // nobody else knows this connection yet
	}
	if p.Props.Has(packet.PropTopicAliasMaximum) {
		c.given.init(p.Props.TopicAliasMaximum)
	}
}

// admitWill checks that the client might publish its will itself.
func (c *conn) admitWill(w *packet.Will) error {
	if err := topic.CheckName(w.Topic, c.grants.TopicLevels); err != nil {
		return &packet.Error{Reason: packet.TopicNameInvalid, Rule: "MQTT-3.1.3-11", Detail: "will topic: " + err.Error()}
	}
	if c.mayPublish(w.Topic) != packet.Success {
		return &packet.Error{Reason: packet.NotAuthorized, Detail: "will topic " + w.Topic + " is not permitted"}
	}
	return c.grants.mayPublish(c.version, w.QoS, w.Retain, false)
}

// openSession attaches the connection to its client's session and greets.
func (c *conn) openSession(p *packet.Connect, answer *packet.Properties) error {
	req := c.openRequest(p, answer)
	alive := c.keepAlive(p, answer)
	c.stateBounds(p, answer)
	if _, ok := appendFit(nil, &packet.Connack{Props: answer}, c.version, c.maxOut); !ok {
		return c.refuse(&packet.Error{Reason: packet.PacketTooLarge, Detail: "CONNACK is larger than the client takes"})
	}
	session, present, err := c.srv.cfg.Sessions.Open(req, c)
	if err != nil {
		return c.refuse(err)
	}
	c.session = session
	c.srv.metrics.clientIn()
	c.setPatience(alive)
	c.greet(&packet.Connack{SessionPresent: present, Props: answer})
	c.session.Resume()
	return nil
}

// greet sends CONNACK, once, before anything but AUTH. [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.2.2-2]
// [MQTT-3.2.2-3] [MQTT311-3.1.4-4] [MQTT311-3.2.0-1] [MQTT311-3.2.2-1] [MQTT311-3.2.2-2] [MQTT311-3.2.2-3]
func (c *conn) greet(p *packet.Connack) {
	c.out.greet(p, c.version)
	c.greeted.Store(true)
	c.rd.connected = true
	c.srv.log.Debug("client connected", "client", c.client.ID, "addr", c.client.Addr, "version", c.version,
		"link", c.client.Link, "present", p.SessionPresent)
}

func (c *conn) openRequest(p *packet.Connect, answer *packet.Properties) mqtt.OpenRequest {
	c.rd.expiry = c.sessionExpiry(p, answer)
	req := mqtt.OpenRequest{ClientID: c.client.ID, Clean: p.CleanStart, Expiry: c.rd.expiry, ReceiveMaximum: 65535}
	if c.version == packet.V5 && p.Props.Has(packet.PropReceiveMaximum) {
		req.ReceiveMaximum = p.Props.ReceiveMaximum
	}
	if p.Will != nil {
		req.Will = c.will(p.Will)
		req.WillDelay, req.WillExpiry = willTimes(p.Will.Props)
	}
	return req
}

// sessionExpiry is how long the session outlives the connection. [MQTT-3.1.2-23]
func (c *conn) sessionExpiry(p *packet.Connect, answer *packet.Properties) time.Duration {
	wanted := time.Duration(0)
	switch {
	case c.version < packet.V5 && !p.CleanStart: // [MQTT311-3.1.2-4]
		wanted = -1
	case p.Props.Has(packet.PropSessionExpiry):
		wanted = expiryOf(p.Props.SessionExpiry)
	}
	granted := c.grants.expiry(wanted)
	if granted != wanted {
		answer.SessionExpiry = uint32(granted / time.Second)
		answer.Mark(packet.PropSessionExpiry)
	}
	return granted
}

// expiryOf is a Session Expiry Interval as a duration; negative = never.
func expiryOf(seconds uint32) time.Duration {
	if seconds == 0xFFFFFFFF {
		return -1
	}
	return time.Duration(seconds) * time.Second
}

// will is the message that w asks for. [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.3-10] [MQTT311-3.1.2-16]
// [MQTT311-3.1.2-17]
func (c *conn) will(w *packet.Will) *mqtt.Message {
	m := &mqtt.Message{
		Topic: strings.Clone(w.Topic), Payload: append([]byte{}, w.Payload...), QoS: w.QoS, Retain: w.Retain && c.grants.retain,
		Publisher: c.client.ID, From: mqtt.Source{Scope: mqtt.ScopeClient},
	}
	if w.Props != nil {
		m.Props = messageProps(w.Props)
	}
	return m
}

func willTimes(p *packet.Properties) (delay, expiry time.Duration) {
	if p.Has(packet.PropWillDelay) {
		delay = time.Duration(p.WillDelay) * time.Second
	}
	if p.Has(packet.PropMessageExpiry) {
		expiry = time.Duration(p.MessageExpiry) * time.Second
	}
	return delay, expiry
}

// stateBounds tells a 5.0 client this server's bounds, and what it asked about.
func (c *conn) stateBounds(p *packet.Connect, answer *packet.Properties) {
	cfg := &c.srv.cfg
	c.grants.stateBounds(answer)
	answer.MaximumPacketSize = c.rd.maxIn
	answer.Mark(packet.PropMaximumPacketSize)
	if cfg.ResponseInfo != "" && p.Props.Has(packet.PropRequestResponseInfo) && p.Props.RequestResponseInfo == 1 {
		answer.ResponseInfo = cfg.ResponseInfo // [MQTT-3.1.2-28]
		answer.Mark(packet.PropResponseInfo)
	}
}

// userProperty returns the first user property of that name.
func userProperty(p *packet.Properties, name string) (value string, ok bool) {
	if p == nil {
		return "", false
	}
	for _, u := range p.User {
		if u.Name == name {
			return u.Value, true
		}
	}
	return "", false
}
