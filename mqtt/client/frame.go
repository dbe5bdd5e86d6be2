package client

import (
	"context"

	"mangrove/mqtt"
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

// Line tells what is known of the way to the server.
func (c *Client) Line() (mqtt.Line, bool) {
	waiting := c.w.waiting()
	m, ok := transport.MovedOn(c.conn)
	return mqtt.Line{Unacked: waiting + m.Unacked, Moved: m.Acked + m.Received}, ok
}
