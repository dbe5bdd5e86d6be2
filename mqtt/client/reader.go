package client

import (
	"errors"
	"io"
	"time"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// reader takes packets from the connection, many with one system call. While nothing comes it holds
// no buffer, where the connection can be waited for without one.
type reader struct {
	c    *Client
	wait func() error // nil = read at once
	buf  []byte
	from int // buf[from:to] is to be decoded
	to   int

	publish packet.Publish
	ack     packet.Ack
	kind    string // of the last frame, kept to make no string for each
}

func newReader(c *Client) *reader { return &reader{c: c, wait: transport.ReadWaiter(c.conn)} }

// run is the reading goroutine.
func (r *reader) run() {
	err := r.loop()
	dropBuffer(r.buf)
	r.buf = nil
	var wrong *packet.Error
	if errors.As(err, &wrong) { // [MQTT-4.13.1-1]
		r.c.cfg.Log.Debug("protocol error", "err", err)
		r.c.closeWith(err, wrong.Reason)
		r.drain()
	}
	r.c.ended(err)
}

func (r *reader) loop() error {
	for {
		kind, flags, body, err := r.next()
		if err != nil {
			return err
		}
		if body == nil {
			if err := r.fill(); err != nil {
				return err
			}
			continue
		}
		if err := r.handle(kind, flags, body); err != nil {
			return err
		}
	}
}

// next cuts the next packet out of the buffer. body is nil when more bytes are needed.
func (r *reader) next() (kind packet.Type, flags byte, body []byte, err error) {
	b := r.buf[r.from:r.to]
	total, header, want, err := packet.Frame(b, r.c.cfg.MaxPacket)
	if err != nil {
		return 0, 0, nil, err
	}
	if total == 0 {
		r.reserve(want)
		return 0, 0, nil, nil
	}
	if err := packet.CheckHeader(header, total, r.c.cfg.Version); err != nil {
		return 0, 0, nil, err
	}
	r.from += total
	return packet.Type(b[0] >> 4), b[0] & 0x0F, b[header:total:total], nil
}

// reserve makes room for more bytes of a packet of want bytes, 0 = not known. The buffer doubles
// as bytes come, so a large length alone costs nothing.
func (r *reader) reserve(want int) {
	if r.from == r.to {
		r.from, r.to = 0, 0
		if r.wait != nil || cap(r.buf) > keptBuffer {
			dropBuffer(r.buf)
			r.buf = nil
		}
		return
	}
	if r.to < len(r.buf) {
		return
	}
	held, buf := r.buf[r.from:r.to], r.buf
	if r.from == 0 {
		buf = make([]byte, min(max(want, firstBuffer), 2*len(buf)))
	}
	copy(buf, held)
	if r.from == 0 {
		dropBuffer(r.buf)
	}
	r.buf, r.from, r.to = buf, 0, len(held)
}

// fill reads once.
func (r *reader) fill() error {
	if r.buf == nil {
		if r.wait != nil {
			if err := r.wait(); err != nil {
				return err
			}
		}
		r.buf = takeBuffer()
	}
	n, err := r.c.conn.Read(r.buf[r.to:])
	r.to += n
	if n > 0 {
		r.c.lastRead.Store(int64(time.Since(r.c.start)))
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// drain reads and discards after our DISCONNECT, until the server closes or the deadline comes.
func (r *reader) drain() {
	b := takeBuffer()
	defer dropBuffer(b)
	for {
		if _, err := r.c.conn.Read(b); err != nil {
			return
		}
	}
}

// handle does what a packet asks for. An error ends the connection.
func (r *reader) handle(kind packet.Type, flags byte, body []byte) error {
	c := r.c
	if c.w.ends() {
		return nil // after our DISCONNECT: what needs an acknowledgement will come again
	}
	switch kind {
	case packet.PUBLISH:
		return r.handlePublish(flags, body)
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		r.ack.Kind = kind
		if err := r.ack.Decode(flags, body, c.cfg.Version); err != nil {
			return err
		}
		return c.handleAck(&r.ack)
	case packet.PINGRESP:
		return new(packet.Pingresp).Decode(flags, body, c.cfg.Version)
	case packet.SUBACK:
		var p packet.Suback
		if err := p.Decode(flags, body, c.cfg.Version); err != nil {
			return err
		}
		return c.answered(p.PacketID, kind, p.Reasons)
	case packet.UNSUBACK:
		var p packet.Unsuback
		if err := p.Decode(flags, body, c.cfg.Version); err != nil {
			return err
		}
		return c.answered(p.PacketID, kind, p.Reasons)
	case packet.AUTH:
		return c.handleAuth(flags, body)
	case packet.DISCONNECT:
		return r.handleDisconnect(flags, body)
	}
	return protocolError("a server does not send %v here", kind)
}

func (r *reader) handleDisconnect(flags byte, body []byte) error {
	if r.c.cfg.Version != packet.V5 {
		return protocolError("a server does not send DISCONNECT before 5.0")
	}
	var p packet.Disconnect
	if err := p.Decode(flags, body, r.c.cfg.Version); err != nil {
		return err
	}
	return &Error{Packet: packet.DISCONNECT, Reason: p.Reason, Props: p.Props}
}
