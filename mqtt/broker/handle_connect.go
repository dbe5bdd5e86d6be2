package broker

import (
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// handleConnect opens the connection, or refuses it with the CONNACK that the client's version has
// for the reason.
func (c *conn) handleConnect(flags byte, body []byte) error {
	var p packet.Connect
	err := p.Decode(flags, body, 0)
	c.version = p.Version.Answer()
	if err != nil {
		return c.refuse(err) // [MQTT-3.1.4-1] [MQTT-3.1.4-2]
	}
	answer := &packet.Properties{}
	c.identify(&p, answer)
	c.limit(&p)
	if err := c.admit(&p); err != nil {
		return c.refuse(err)
	}
	if versions, asked := userProperty(p.Props, mqtt.LinkProperty); asked {
		return c.acceptLink(&p, versions, answer)
	}
	return c.openSession(&p, answer)
}

// refuse answers CONNECT with the reason of err and ends the connection. [MQTT-3.2.2-7]
func (c *conn) refuse(err error) error {
	reason := packet.ServerUnavailable
	if fault := (*packet.Error)(nil); errors.As(err, &fault) {
		reason = fault.Reason
	} else {
		c.srv.log.Warn("connection refused", "client", c.client.ID, "error", err)
	}
	c.out.send(&packet.Connack{Reason: reason}, c.version)
	return &endError{ending{why: reasonLabel(reason), detail: err.Error(), linger: true}}
}

// identify fills in who the client is. A client without id gets one. [MQTT-3.1.3-6] [MQTT-3.2.2-16]
func (c *conn) identify(p *packet.Connect, answer *packet.Properties) {
	c.client = mqtt.Client{
		ID: p.ClientID, Username: p.Username, Password: p.Password, HasUser: p.HasUser,
		Addr: c.nc.RemoteAddr(), Listener: c.listener, Version: c.version,
	}
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
	}
}

// admit decides whether the client may connect as it wants to.
func (c *conn) admit(p *packet.Connect) error {
	if p.Props.Has(packet.PropAuthMethod) { // [MQTT-4.12.0-1]
		return &packet.Error{Reason: packet.BadAuthenticationMethod, Rule: "MQTT-4.12.0-1", Detail: "no enhanced authentication is offered"}
	}
	err := c.srv.cfg.Authority.Authenticate(&c.client)
	c.client.Password = nil // aliases the read buffer, and is not needed again
	if err != nil {
		return err
	}
	if p.Will == nil {
		return nil
	}
	return c.admitWill(p.Will)
}

// admitWill checks that the client might publish its will itself.
func (c *conn) admitWill(w *packet.Will) error {
	if err := topic.CheckName(w.Topic, topic.MaxLevels); err != nil {
		return &packet.Error{Reason: packet.TopicNameInvalid, Rule: "MQTT-3.1.3-11", Detail: "will topic: " + err.Error()}
	}
	if c.mayPublish(w.Topic) != packet.Success {
		return &packet.Error{Reason: packet.NotAuthorized, Detail: "will topic " + w.Topic + " is not permitted"}
	}
	return c.checkRetain(w.Retain)
}

// openSession attaches the connection to its client's session and greets.
func (c *conn) openSession(p *packet.Connect, answer *packet.Properties) error {
	session, present, err := c.srv.cfg.Sessions.Open(c.openRequest(p, answer), c)
	if err != nil {
		return c.refuse(err)
	}
	c.session = session
	c.srv.metrics.clientIn()
	c.setKeepAlive(p, answer)
	c.announce(p, answer)
	c.greet(&packet.Connack{SessionPresent: present, Props: answer})
	c.session.Resume()
	return nil
}

// greet sends CONNACK. [MQTT-3.2.0-1] [MQTT-3.2.2-2]
func (c *conn) greet(p *packet.Connack) {
	c.out.greet(p, c.version)
	c.greeted.Store(true)
	c.connected = true
	c.srv.log.Debug("client connected", "client", c.client.ID, "addr", c.client.Addr, "version", c.version,
		"link", c.client.Link, "present", p.SessionPresent)
}

func (c *conn) openRequest(p *packet.Connect, answer *packet.Properties) mqtt.OpenRequest {
	c.expiry = c.sessionExpiry(p, answer)
	req := mqtt.OpenRequest{ClientID: c.client.ID, Clean: p.CleanStart, Expiry: c.expiry, ReceiveMaximum: 65535}
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
	granted := c.srv.capExpiry(wanted)
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

func (s *Server) capExpiry(d time.Duration) time.Duration {
	if max := s.cfg.SessionExpiryMax; max > 0 && (d < 0 || d > max) {
		return max
	}
	return d
}

func (c *conn) will(w *packet.Will) *mqtt.Message {
	m := &mqtt.Message{
		Topic: strings.Clone(w.Topic), Payload: append([]byte{}, w.Payload...), QoS: w.QoS, Retain: w.Retain,
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

// announce tells a 5.0 client this server's bounds, where they differ from what the standard supposes.
func (c *conn) announce(p *packet.Connect, answer *packet.Properties) {
	cfg := &c.srv.cfg
	if cfg.ReceiveMaximum != 65535 {
		answer.ReceiveMaximum = cfg.ReceiveMaximum
		answer.Mark(packet.PropReceiveMaximum)
	}
	answer.MaximumPacketSize = c.maxIn
	answer.Mark(packet.PropMaximumPacketSize)
	answer.TopicAliasMaximum = cfg.TopicAliasMaximum
	answer.Mark(packet.PropTopicAliasMaximum)
	if cfg.Retained == nil {
		answer.Mark(packet.PropRetainAvailable)
	}
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
