package client

import (
	"context"
	"errors"
	"fmt"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// Publish sends m and waits until it is acknowledged, at QoS 0 until it is in the output buffer.
// An acknowledgement that refuses is an *Error with its reason code. When ctx or the connection ends
// first, a message of QoS 1 or 2 may have arrived or not, and stays in Config.State if there is one.
func (c *Client) Publish(ctx context.Context, m *Message) (packet.ReasonCode, error) {
	type result struct {
		reason packet.ReasonCode
		err    error
	}
	got := make(chan result, 1)
	err := c.publish(ctx, m, func(reason packet.ReasonCode, err error) { got <- result{reason, err} }, true)
	if err != nil {
		return 0, err
	}
	select {
	case r := <-got:
		return r.reason, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-c.done:
	}
	select {
	case r := <-got:
		return r.reason, r.err
	default:
		return 0, c.err
	}
}

// PublishAsync sends m and returns when that is on its way; it waits only while the window or
// the output buffer is full. done, if not nil, is called once, when m is acknowledged or will not
// be; err is nil or as of Publish. It runs on the reading goroutine and must not wait for this Client. When
// PublishAsync returns an error done is not called.
func (c *Client) PublishAsync(m *Message, done func(reason packet.ReasonCode, err error)) error {
	return c.publish(context.Background(), m, done, true)
}

// TryPublish is PublishAsync without waiting: ErrWindowFull instead. For use in callbacks.
func (c *Client) TryPublish(m *Message, done func(reason packet.ReasonCode, err error)) error {
	return c.publish(context.Background(), m, done, false)
}

func (c *Client) publish(ctx context.Context, m *Message, done func(packet.ReasonCode, error), wait bool) error {
	if err := c.checkMessage(m); err != nil {
		return err
	}
	for {
		blocked, err := c.tryPublish(m, done)
		if err != nil || blocked == nil {
			return err
		}
		if !wait {
			return ErrWindowFull
		}
		if err := c.await(ctx, blocked); err != nil {
			return err
		}
	}
}

// checkMessage refuses what may not be sent to this server.
func (c *Client) checkMessage(m *Message) error {
	if m.QoS > 2 {
		return fmt.Errorf("QoS %d: allowed are 0, 1 and 2 [MQTT-3.3.1-4]", m.QoS)
	}
	if err := topic.CheckName(m.Topic, topic.MaxLength); err != nil {
		return err
	}
	if m.Props.Has(packet.PropTopicAlias) || m.Props.Has(packet.PropSubscriptionID) { // [MQTT-3.3.4-6]
		return errors.New("topic aliases and subscription identifiers may not be published")
	}
	p := c.connack.Props
	if p.Has(packet.PropMaximumQoS) && m.QoS > p.MaximumQoS { // [MQTT-3.2.2-11]
		return fmt.Errorf("QoS %d is %w, its maximum is %d", m.QoS, ErrUnsupported, p.MaximumQoS)
	}
	if m.Retain && p.Has(packet.PropRetainAvailable) && p.RetainAvailable == 0 { // [MQTT-3.2.2-14]
		return fmt.Errorf("retain is %w", ErrUnsupported)
	}
	return nil
}

// tryPublish sends m, or answers with what to wait for before trying again.
func (c *Client) tryPublish(m *Message, done func(packet.ReasonCode, error)) (blocked <-chan struct{}, err error) {
	if full := c.w.full(); full != nil {
		return full, c.Err()
	}
	if m.QoS == 0 {
		return nil, c.sendQoS0(m, done)
	}
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	if err := c.Err(); err != nil {
		return nil, err
	}
	if c.window.closing {
		return nil, ErrClosed
	}
	if c.window.used >= c.window.limit || len(c.st.flights) >= maxFlights {
		return c.window.changedLocked(), nil
	}
	return nil, c.takeOffLocked(m, done)
}

func (c *Client) sendQoS0(m *Message, done func(packet.ReasonCode, error)) error {
	if err := c.Err(); err != nil {
		return err
	}
	if err := c.w.message(m, 0, false, c.cfg.Version); err != nil {
		return err
	}
	if done != nil {
		done(packet.Success, nil)
	}
	return nil
}

// takeOffLocked sends m as a new flight. [MQTT-4.3.2-1] [MQTT-4.3.3-1]
func (c *Client) takeOffLocked(m *Message, done func(packet.ReasonCode, error)) error {
	id := c.st.nextIDLocked(c.requests.open)
	if id == 0 {
		return ErrBusy
	}
	if err := c.w.message(m, id, false, c.cfg.Version); err != nil {
		return err
	}
	c.st.addLocked(&flight{id: id, m: m, done: done, counted: true})
	c.window.used++
	return nil
}
