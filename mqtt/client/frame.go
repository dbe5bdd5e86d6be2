package client

import (
	"context"

	"mangrove/mqtt/topic"
	"mangrove/mqtt/transport"
)

// Frame sends one link frame: a QoS 0 PUBLISH on "$link/kind". It waits while the output buffer is
// full, until the connection ends. body is the caller's again after the call. With Close it makes
// *Client an mqtt.Carrier.
func (c *Client) Frame(kind string, body []byte) error {
	for {
		full := c.w.full()
		if full == nil {
			break
		}
		if err := c.await(context.Background(), full); err != nil {
			return err
		}
	}
	if err := c.Err(); err != nil {
		return err
	}
	m := Message{Topic: topic.LinkPrefix + kind, Payload: body}
	return c.w.message(&m, 0, false, c.cfg.Version)
}

// Moved is what has crossed the connection so far; bytes that still wait on this side are among Unacked. false = nobody can
// tell.
func (c *Client) Moved() (m transport.Moved, ok bool) {
	waiting := c.w.waiting()
	m, ok = transport.MovedOn(c.conn)
	m.Unacked += waiting
	return m, ok
}
