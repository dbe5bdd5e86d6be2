package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"mangrove/mqtt/packet"
)

// Authenticator is the client's side of an authentication method of 5.0 (section 4.12). Calls come one at a
// time. An error ends the connection.
type Authenticator interface {
	// Method is the name that CONNECT carries.
	Method() string
	// Begin starts an exchange and returns the data to begin with; nil = none.
	Begin() ([]byte, error)
	// Next takes what the server sent and returns what to answer. last = the server is satisfied: nothing is
	// answered, and an error says that the server did not prove who it is. data is valid during the call.
	Next(data []byte, last bool) ([]byte, error)
}

// ErrNoMethod means that the connection was opened without Config.Auth.
var ErrNoMethod = errors.New("no authentication method was agreed on")

// exchange is the authentication of a connection, again and again.
type exchange struct {
	mu   sync.Mutex
	done chan error // of the re-authentication under way; nil = none
}

// Reauthenticate authenticates again on the live connection and waits for the outcome. A server that refuses
// ends the connection. One at a time. [MQTT-4.12.1-1]
func (c *Client) Reauthenticate(ctx context.Context) error {
	if c.cfg.Auth == nil {
		return ErrNoMethod
	}
	done, err := c.reauthenticate()
	if err != nil {
		return fmt.Errorf("re-authenticate: %w", err)
	}
	select {
	case err := <-done:
		return err
	case <-c.failed:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) reauthenticate() (done chan error, err error) {
	x := &c.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done != nil {
		return nil, errors.New("another one is under way")
	}
	data, err := c.cfg.Auth.Begin()
	if err != nil {
		return nil, err
	}
	if err := c.w.packet(c.auth(packet.ReAuthenticate, data), packet.V5); err != nil {
		return nil, err
	}
	x.done = make(chan error, 1)
	return x.done, nil
}

// auth makes an AUTH packet. [MQTT-4.12.0-5]
func (c *Client) auth(reason packet.ReasonCode, data []byte) *packet.Auth {
	return &packet.Auth{Reason: reason, Props: authProps(&packet.Properties{}, c.cfg.Auth.Method(), data)}
}

func authProps(p *packet.Properties, method string, data []byte) *packet.Properties {
	p.AuthMethod = method
	p.Mark(packet.PropAuthMethod)
	if data != nil {
		p.AuthData = data
		p.Mark(packet.PropAuthData)
	}
	return p
}

// answerAuth answers an AUTH that came while CONNACK is awaited.
func (c *Client) answerAuth(flags byte, body []byte) error {
	p, err := c.readAuth(flags, body)
	if err != nil {
		return err
	}
	if p.Reason != packet.ContinueAuthentication { // [MQTT-4.12.0-2]
		return protocolError("AUTH with %v before CONNACK", p.Reason)
	}
	data, err := c.cfg.Auth.Next(p.Props.AuthData, false)
	if err != nil {
		return err
	}
	_, err = c.conn.Write(c.auth(packet.ContinueAuthentication, data).Append(nil, packet.V5)) // [MQTT-4.12.0-3]
	return err
}

// handleAuth takes a re-authentication on.
func (c *Client) handleAuth(flags byte, body []byte) error {
	p, err := c.readAuth(flags, body)
	if err != nil {
		return err
	}
	x := &c.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done == nil || p.Reason == packet.ReAuthenticate {
		return protocolError("AUTH with %v, none was begun", p.Reason)
	}
	last := p.Reason == packet.Success
	data, err := c.cfg.Auth.Next(p.Props.AuthData, last)
	switch {
	case err != nil:
		return err
	case last:
		x.done <- nil
		x.done = nil
		return nil
	}
	return c.w.packet(c.auth(packet.ContinueAuthentication, data), packet.V5)
}

func (c *Client) readAuth(flags byte, body []byte) (p packet.Auth, err error) {
	if err := p.Decode(flags, body, c.cfg.Version); err != nil {
		return p, err
	}
	if c.cfg.Auth == nil { // [MQTT-4.12.0-6]
		return p, protocolError("AUTH without authentication method in CONNECT")
	}
	if p.Props == nil {
		p.Props = &packet.Properties{}
	} else if p.Props.AuthMethod != c.cfg.Auth.Method() { // [MQTT-4.12.0-5]
		return p, protocolError("AUTH names the method %q, CONNECT %q", p.Props.AuthMethod, c.cfg.Auth.Method())
	}
	return p, nil
}

// checkAuth lets the method see the end of the exchange that CONNACK is.
func (c *Client) checkAuth(p *packet.Properties) error {
	if c.cfg.Auth == nil {
		return nil
	}
	if !p.Has(packet.PropAuthMethod) || p.AuthMethod != c.cfg.Auth.Method() { // [MQTT-4.12.0-5]
		return protocolError("CONNACK does not name the method %q", c.cfg.Auth.Method())
	}
	_, err := c.cfg.Auth.Next(p.AuthData, true)
	return err
}
