package broker

import (
	"errors"
	"fmt"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// Enhanced authentication (section 4.12). The client names a method in CONNECT and keeps to it:
//
//	CONNECT ─→ Begin, Step ─┬─ AUTH 0x18 ─→ client ─ AUTH 0x18 ─→ Step …
//	                        ├─ proved: CONNACK
//	                        └─ refused: CONNACK with the reason, closed      [MQTT-4.12.0-4]
//	AUTH 0x19 on a live connection ─→ the same; proved: AUTH 0x00, refused: DISCONNECT
//
// Other packets are handled as before while the client authenticates again.

// opening is a CONNECT that waits for its exchange.
type opening struct {
	connect packet.Connect
	answer  *packet.Properties // for CONNACK
}

// proof is what a connection with an authentication method knows of it.
type proof struct {
	method string        // of CONNECT; "" = none was named, and neither AUTH nor a method is sent [MQTT-4.12.0-6]
	run    mqtt.Exchange // nil = none is under way
	who    *mqtt.Client  // as run sees it
}

// beginExchange starts the authentication of a CONNECT that names a method. body is ours.
func (c *conn) beginExchange(flags byte, body []byte, answer *packet.Properties) error {
	o := &opening{answer: answer}
	if err := o.connect.Decode(flags, body, 0); err != nil { // again, because what it aliases must last
		return c.refuse(err)
	}
	c.client.Password = o.connect.Password
	props := o.connect.Props
	if err := c.begin(props.AuthMethod); err != nil { // [MQTT-4.12.0-1]
		return c.refuse(err)
	}
	c.rd.opening = o
	return c.advanceOpening(dataOf(props))
}

// begin starts an exchange.
func (c *conn) begin(method string) error {
	offer, ok := c.srv.cfg.Authority.(mqtt.Exchanger)
	if !ok {
		return &packet.Error{Reason: packet.BadAuthenticationMethod, Rule: "MQTT-4.12.0-1", Detail: "no enhanced authentication is offered"}
	}
	who := c.client
	run, err := offer.Begin(&who, method)
	if err != nil {
		return err
	}
	c.rd.proof = proof{method: method, run: run, who: &who}
	return nil
}

// advanceOpening takes the exchange of CONNECT one step on.
func (c *conn) advanceOpening(data []byte) error {
	out, done, err := c.rd.proof.run.Step(data)
	if err != nil {
		return c.refuse(err) // [MQTT-4.12.0-4]
	}
	if !done {
		c.sendAuth(packet.ContinueAuthentication, out) // [MQTT-4.12.0-2]
		return nil
	}
	o := c.rd.opening
	c.rd.opening, c.client = nil, *c.rd.proof.who
	c.rd.proof.run = nil
	c.methodProps(o.answer, out) // [MQTT-4.12.0-5]
	return c.admit(&o.connect, o.answer)
}

// handleOpening handles what comes between CONNECT and CONNACK. [MQTT-3.1.2-30]
func (c *conn) handleOpening(kind packet.Type, flags byte, body []byte) error {
	switch kind {
	case packet.AUTH:
		p, err := c.decodeAuth(flags, body)
		if err == nil && p.Reason != packet.ContinueAuthentication { // [MQTT-4.12.0-3]
			err = &packet.Error{Reason: packet.ProtocolError, Rule: "MQTT-4.12.0-3", Detail: fmt.Sprintf("AUTH with %v before CONNACK", p.Reason)}
		}
		if err != nil {
			return c.refuse(err)
		}
		return c.advanceOpening(dataOf(p.Props))
	case packet.DISCONNECT:
		return &endError{ending{why: "authentication-abandoned", detail: "DISCONNECT before CONNACK"}}
	}
	return c.refuse(&packet.Error{Reason: packet.ProtocolError, Rule: "MQTT-3.1.2-30", Detail: fmt.Sprintf("%v before CONNACK", kind)})
}

// handleAuth handles AUTH on a live connection: the client authenticates again. [MQTT-4.12.1-1]
func (c *conn) handleAuth(flags byte, body []byte) error {
	p, err := c.decodeAuth(flags, body)
	if err != nil {
		return err
	}
	fault := func(rule, detail string) error {
		return &packet.Error{Reason: packet.ProtocolError, Rule: rule, Detail: detail}
	}
	switch running := c.rd.proof.run != nil; {
	case p.Reason == packet.ReAuthenticate && running:
		return fault("", "re-authentication began while another is under way")
	case p.Reason == packet.ContinueAuthentication && !running:
		return fault("", "authentication continues that did not begin")
	case p.Reason == packet.Success:
		return fault("MQTT-3.15.2-1", "only a server sends AUTH with Success")
	case p.Reason == packet.ReAuthenticate:
		if err := c.begin(c.rd.proof.method); err != nil {
			return authFault(err)
		}
	}
	return c.advance(dataOf(p.Props))
}

// advance takes a re-authentication one step on. It must not make the client somebody else: its session
// and its permissions are those of its user name.
func (c *conn) advance(data []byte) error {
	out, done, err := c.rd.proof.run.Step(data)
	switch {
	case err != nil:
		return authFault(err)
	case !done:
		c.sendAuth(packet.ContinueAuthentication, out) // [MQTT-4.12.0-2]
		return nil
	case c.rd.proof.who.Username != c.client.Username:
		return &packet.Error{Reason: packet.NotAuthorized, Rule: "MQTT-4.12.1-2", Detail: "re-authentication as another user"}
	}
	c.rd.proof.run, c.rd.proof.who = nil, nil
	c.sendAuth(packet.Success, out)
	return nil
}

// decodeAuth decodes an AUTH and checks that it names the method of CONNECT.
func (c *conn) decodeAuth(flags byte, body []byte) (p packet.Auth, err error) {
	if err := p.Decode(flags, body, c.version); err != nil {
		return p, err
	}
	if c.rd.proof.method == "" { // [MQTT-4.12.0-7]
		return p, &packet.Error{Reason: packet.ProtocolError, Rule: "MQTT-4.12.0-7", Detail: "AUTH without authentication method in CONNECT"}
	}
	if p.Props.Has(packet.PropAuthMethod) && p.Props.AuthMethod != c.rd.proof.method { // [MQTT-4.12.0-5] [MQTT-4.12.1-1]
		return p, &packet.Error{Reason: packet.ProtocolError, Rule: "MQTT-4.12.0-5", Detail: "AUTH names another method than CONNECT"}
	}
	return p, nil
}

func (c *conn) sendAuth(reason packet.ReasonCode, data []byte) {
	props := &packet.Properties{}
	c.methodProps(props, data)
	c.send(&packet.Auth{Reason: reason, Props: props})
}

// methodProps adds method and data to the properties of an AUTH or CONNACK. [MQTT-4.12.0-5]
func (c *conn) methodProps(props *packet.Properties, data []byte) {
	props.AuthMethod = c.rd.proof.method
	props.Mark(packet.PropAuthMethod)
	if data != nil {
		props.AuthData = data
		props.Mark(packet.PropAuthData)
	}
}

func dataOf(props *packet.Properties) []byte {
	if !props.Has(packet.PropAuthData) {
		return nil
	}
	return props.AuthData
}

// authFault makes of a refused re-authentication a fault that DISCONNECT can name. [MQTT-4.12.1-2] [MQTT-3.14.2-1]
func authFault(err error) error {
	var fault *packet.Error
	if !errors.As(err, &fault) {
		return &packet.Error{Reason: packet.UnspecifiedError, Rule: "MQTT-4.12.1-2", Detail: err.Error()}
	}
	reason := fault.Reason
	switch reason {
	case packet.BadUserNameOrPassword, packet.Banned, packet.ClientIdentifierNotValid:
		reason = packet.NotAuthorized
	case packet.ServerUnavailable:
		reason = packet.ServerBusy
	}
	return &packet.Error{Reason: reason, Rule: "MQTT-4.12.1-2", Detail: fault.Detail}
}
