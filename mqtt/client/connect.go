package client

import (
	"context"
	"fmt"
	"io"
	"time"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// connect brings c from nothing to connected, or leaves no trace.
func (c *Client) connect(ctx context.Context) error {
	conn, err := c.cfg.Dial(ctx, c.cfg.Addr)
	if err != nil {
		return err
	}
	c.conn = conn
	ctx, stop := transport.WhileMoving(ctx, conn, c.cfg.ConnectTimeout)
	defer stop()
	c.w.init(c)
	r := newReader(c)
	interrupted := context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
	err = c.handshake(r)
	if !interrupted() {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.fail(err)
		return fmt.Errorf("connect to %s: %w", c.cfg.Addr, err)
	}
	c.resume()
	c.alive.begin(c)
	go r.run() // owned by c; ends with the connection; Done tells
	return nil
}

// handshake sends CONNECT and reads CONNACK. What came behind it stays in r.
func (c *Client) handshake(r *reader) error {
	p := c.cfg.connect()
	if c.cfg.Auth != nil {
		data, err := c.cfg.Auth.Begin()
		if err != nil {
			return err
		}
		authProps(p.Props, c.cfg.Auth.Method(), data)
	}
	if _, err := c.conn.Write(p.Append(nil, c.cfg.Version)); err != nil {
		return err
	}
	for {
		kind, flags, body, err := r.next()
		if err != nil {
			return err
		}
		if body == nil {
			if err := r.fill(); err != nil {
				return answerMissing(err)
			}
			continue
		}
		if kind == packet.AUTH {
			if err := c.answerAuth(flags, body); err != nil {
				return err
			}
			continue
		}
		if kind != packet.CONNACK { // [MQTT-3.2.0-1]
			return protocolError("got %v, want CONNACK", kind)
		}
		if err := c.connack.Decode(flags, body, c.cfg.Version); err != nil {
			return err
		}
		return c.checkConnack()
	}
}

func answerMissing(err error) error {
	if err == io.EOF {
		return fmt.Errorf("server closed the connection without CONNACK: %w", io.ErrUnexpectedEOF)
	}
	return err
}

func (c *Client) checkConnack() error {
	if c.connack.Reason != packet.Success {
		return &Error{Packet: packet.CONNACK, Reason: c.connack.Reason, Props: c.connack.Props}
	}
	if c.connack.SessionPresent && c.cfg.Clean { // [MQTT-3.2.2-2]
		return protocolError("server has a session although a clean start was asked for")
	}
	p := c.connack.Props
	if err := c.checkAuth(p); err != nil {
		return err
	}
	c.window.limit = c.cfg.MaxInflight
	if p.Has(packet.PropReceiveMaximum) { // [MQTT-3.3.4-7]
		c.window.limit = min(c.window.limit, int(p.ReceiveMaximum))
	}
	if p.Has(packet.PropMaximumPacketSize) {
		c.w.maxPacket = p.MaximumPacketSize
	}
	if p.Has(packet.PropServerKeepAlive) { // [MQTT-3.1.2-21] [MQTT-3.2.2-21]
		c.cfg.KeepAlive = time.Duration(p.ServerKeepAlive) * time.Second
	}
	return nil
}
