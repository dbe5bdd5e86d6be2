package bench

import (
	"fmt"
	"net/netip"

	"mangrove/mqtt/packet"
)

// conn is one MQTT connection.
//
//	dialling ── writable ──→ greeting ── CONNACK ──→ open ── drop ──→ closed
type conn struct {
	l     *loop
	fd    int
	tag   int32
	id    string
	v     packet.Version
	state connState
	role  role

	rest    []byte // of a packet that is not whole yet
	out     []byte // to be written; out[:sent] is
	sent    int
	dirty   bool // in loop.dirty
	blocked bool // waits to be writable

	receiveMax uint16
	present    bool // the broker had a session
	keepAlive  uint16
	will       *packet.Will
	local      netip.Addr // to connect from; invalid = the kernel chooses
	subacks    int        // awaited
	granted    byte       // the QoS every SUBACK must grant
	pongs      int        // PINGRESPs so far
}

type connState byte

const (
	closed connState = iota
	dialling
	greeting
	open
)

// role is what a connection is there for.
type role interface {
	// packet handles a packet that is not about the connection itself. body is valid during the call.
	packet(c *conn, kind packet.Type, flags byte, body []byte) error
}

// ready does what ev allows.
func (c *conn) ready(ev event) {
	if c.state == dialling && ev.writable {
		if err := connectError(c.fd); err != nil {
			c.l.fail(c, fmt.Errorf("connect: %w", err))
			return
		}
		c.state = greeting
	}
	if ev.writable && c.state != closed {
		c.flush()
	}
	if ev.readable && c.state != closed {
		if err := c.read(); err != nil {
			c.l.fail(c, err)
		}
	}
}

// read reads once and handles each whole packet.
func (c *conn) read() error {
	buf := c.l.buf
	have := copy(buf, c.rest)
	n, err := readSocket(c.fd, buf[have:have+readSize])
	if err != nil || n == 0 {
		return err
	}
	data := buf[:have+n]
	for {
		total, header, want, err := packet.Frame(data, 0)
		if err != nil {
			return err
		}
		if want > len(buf)-readSize {
			return fmt.Errorf("got a packet of %d bytes, want at most %d", want, len(buf)-readSize)
		}
		if total == 0 {
			break
		}
		if err := c.handle(data[0], data[header:total]); err != nil {
			return err
		}
		if c.state == closed {
			return nil
		}
		data = data[total:]
	}
	c.rest = append(c.rest[:0], data...)
	return nil
}

func (c *conn) handle(first byte, body []byte) error {
	kind, flags := packet.Type(first>>4), first&15
	switch kind {
	case packet.CONNACK:
		return c.connack(flags, body)
	case packet.SUBACK:
		return c.suback(flags, body)
	case packet.PINGRESP:
		c.pongs++
		return nil
	case packet.DISCONNECT:
		return c.disconnected(flags, body)
	}
	if c.state != open || c.role == nil {
		return fmt.Errorf("got %v, which was not expected", kind)
	}
	return c.role.packet(c, kind, flags, body)
}

func (c *conn) connack(flags byte, body []byte) error {
	var p packet.Connack
	if err := p.Decode(flags, body, c.v); err != nil {
		return err
	}
	if p.Reason != packet.Success {
		return fmt.Errorf("connect: the broker answered %v", p.Reason)
	}
	c.state, c.present, c.receiveMax = open, p.SessionPresent, 65535
	if p.Props.Has(packet.PropReceiveMaximum) {
		c.receiveMax = p.Props.ReceiveMaximum
	}
	return nil
}

func (c *conn) suback(flags byte, body []byte) error {
	var p packet.Suback
	if err := p.Decode(flags, body, c.v); err != nil {
		return err
	}
	for _, r := range p.Reasons {
		if byte(r) != c.granted {
			return fmt.Errorf("subscribe: the broker answered %v, want QoS %d granted", r, c.granted)
		}
	}
	c.subacks--
	return nil
}

func (c *conn) disconnected(flags byte, body []byte) error {
	var p packet.Disconnect
	if err := p.Decode(flags, body, c.v); err != nil {
		return err
	}
	return fmt.Errorf("the broker disconnected with %v", p.Reason)
}

// filtersAtOnce is how many filters go into one SUBSCRIBE.
const filtersAtOnce = 100

// subscribe asks for filters; c.subacks is 0 when all are granted.
func (c *conn) subscribe(qos byte, filters ...string) {
	c.granted = qos
	for len(filters) > 0 {
		n := min(len(filters), filtersAtOnce)
		p := packet.Subscribe{PacketID: uint16(c.subacks%65535 + 1)}
		for _, f := range filters[:n] {
			p.Filters = append(p.Filters, packet.SubscribeFilter{Filter: f, QoS: qos})
		}
		c.subacks++
		c.send(p.Append(c.out, c.v))
		filters = filters[n:]
	}
}

// send takes the output with something appended.
func (c *conn) send(out []byte) {
	c.out = out
	c.mark()
}

// ack appends PUBACK, PUBREC, PUBREL or PUBCOMP with success, whose bytes all versions share.
func (c *conn) ack(kind packet.Type, id uint16) {
	first := byte(kind) << 4
	if kind == packet.PUBREL {
		first |= 2
	}
	c.send(append(c.out, first, 2, byte(id>>8), byte(id)))
}

func (c *conn) ping() {
	var p packet.Pingreq
	c.send(p.Append(c.out, c.v))
}

func (c *conn) mark() {
	if !c.dirty {
		c.dirty = true
		c.l.dirty = append(c.l.dirty, c)
	}
}

// waiting is the bytes that are not written yet.
func (c *conn) waiting() int { return len(c.out) - c.sent }

// flush writes what it can, and has the poller tell when there is room for the rest.
func (c *conn) flush() {
	c.dirty = false
	if c.state == closed || c.state == dialling {
		return
	}
	for c.sent < len(c.out) {
		n, err := writeSocket(c.fd, c.out[c.sent:])
		if err != nil {
			c.l.fail(c, err)
			return
		}
		if n == 0 {
			break
		}
		c.sent += n
	}
	full := c.sent < len(c.out)
	if !full {
		c.out, c.sent = c.out[:0], 0
	}
	if full != c.blocked || c.state == greeting {
		c.blocked = full
		if err := c.l.poll.change(c.fd, c.tag, full); err != nil {
			c.l.fail(c, err)
		}
	}
}

// leave says goodbye and closes.
func (c *conn) leave() {
	if c.state == open {
		var p packet.Disconnect
		c.send(p.Append(c.out, c.v))
		c.flush()
	}
	c.drop()
}

// drop closes the socket. It may be called twice.
func (c *conn) drop() {
	if c.state != closed {
		c.state = closed
		closeSocket(c.fd)
	}
}
