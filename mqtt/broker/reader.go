package broker

import (
	"fmt"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/router"
)

// readerState is what only the connection's reader goroutine touches. When the connection is parked there is none; the
// next one goes on with it.
type readerState struct {
	in    input
	wait  waitState // for bytes
	maxIn uint32    // bytes of a packet from the client

	opening   *opening // CONNECT that waits for its authentication
	proof     proof
	connected bool // the reader's own copy of greeted

	traffic bool         // the step had messages or acknowledgements
	matches router.Cache // of the topics the client publishes to
	aliases inAliases
	owed    owed

	expiry time.Duration      // of the session, as opened
	bridge bool               // it said so in its protocol level
	detach mqtt.DetachRequest // what DISCONNECT asked for
}

// read handles packets until the connection ends; the result says why. errParked = another goroutine goes on.
func (c *conn) read() error {
	for {
		if !c.out.waitTurn() {
			return errClosing
		}
		c.awaitingBytes(true)
		switch err := c.rd.in.fill(); {
		case err == errIdle && c.park():
			return errParked
		case err == errIdle:
			continue // it cannot be parked
		case err != nil:
			return err
		}
		c.awaitingBytes(false)
		if c.out.isClosing() {
			return errClosing
		}
		s := c.rd.in.step
		c.out.hold()
		begin := s.start
		want, err := c.handleAll(s)
		c.hear(s.start > begin, len(s.data()))
		c.out.flush() // before commit, which waits when the disk is behind
		c.commit(s)
		c.mayPark()
		if len(c.rd.owed.list) > 0 && err == nil {
			c.payOwed()
		}
		if err != nil {
			return err
		}
		c.rd.in.rest(want)
	}
}

// handleAll handles each whole packet of s and returns the size of the one that is not whole yet.
func (c *conn) handleAll(s *step) (want int, err error) {
	begin, packets := s.start, 0
	defer func() {
		c.srv.metrics.bytesIn.Add(s.start - begin)
		c.srv.metrics.packetsIn.Add(packets)
		s.received.addTo(&c.srv.metrics.received)
	}()
	for len(s.data()) > 0 {
		data := s.data()
		if err := c.checkFirst(data); err != nil {
			return 0, err
		}
		total, header, want, err := packet.Frame(data, c.rd.maxIn) // [MQTT-3.2.2-15]
		if err != nil {
			return 0, err
		}
		if total == 0 {
			return want, nil
		}
		s.start += total
		packets++
		if err := packet.CheckHeader(header, total, c.version); err != nil {
			return 0, err
		}
		if err := c.handle(s, data[:total], header); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// handle handles one packet, whose fixed header has so many bytes.
func (c *conn) handle(s *step, frame []byte, header int) error {
	kind, flags, body := packet.Type(frame[0]>>4), frame[0]&15, frame[header:]
	switch {
	case c.rd.opening != nil:
		return c.handleOpening(kind, flags, body)
	case !c.rd.connected:
		return c.handleConnect(flags, body, header)
	case c.link != nil:
		return c.handleLink(s, kind, flags, body)
	}
	switch kind {
	case packet.PUBLISH:
		c.rd.traffic = true
		return c.handlePublish(s, flags, body)
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		c.rd.traffic = true
		return c.handleAck(s, kind, flags, body)
	case packet.SUBSCRIBE:
		return c.handleSubscribe(s, flags, body)
	case packet.UNSUBSCRIBE:
		return c.handleUnsubscribe(s, flags, body)
	case packet.PINGREQ:
		return c.handlePing(flags, body)
	case packet.DISCONNECT:
		return c.handleDisconnect(flags, body)
	case packet.AUTH:
		return c.handleAuth(flags, body)
	case packet.CONNECT:
		// [MQTT-3.1.0-2] [MQTT311-3.1.0-2]
		return &packet.Error{Reason: packet.ProtocolError, Rule: "MQTT-3.1.0-2", Detail: "second CONNECT"}
	}
	return &packet.Error{Reason: packet.ProtocolError, Detail: "a packet of a kind that only servers send"}
}

// checkFirst refuses, as soon as it shows, what does not begin with CONNECT. [MQTT-3.1.0-1] [MQTT311-3.1.0-1]
func (c *conn) checkFirst(data []byte) error {
	if c.rd.connected || c.rd.opening != nil {
		return nil
	}
	if other, ok := stranger(data); ok {
		return other
	}
	if kind := packet.Type(data[0] >> 4); kind != packet.CONNECT && kind != 0 {
		return &packet.Error{Reason: packet.ProtocolError, Rule: "MQTT-3.1.0-1", Detail: fmt.Sprintf("first packet is %v, want CONNECT", kind)}
	}
	return nil
}
