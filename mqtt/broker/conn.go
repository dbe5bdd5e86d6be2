package broker

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/router"
)

// lingerTime is how long a client that was told goodbye may take to read it; lingerBytes is how much
// of what it still sends is thrown away meanwhile. Without this the kernel may answer unread bytes with
// a reset that overtakes the last packet.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// conn is one client's connection, from accept to its end. It is the session's mqtt.Outlet.
//
//	accepted ──CONNECT──→ greeted ──┬─ DISCONNECT, end of stream, fault ─→ shut → detach → closed
//	                                └─ (link) ─ the same with frames instead of packets
type conn struct {
	srv      *Server
	listener string
	grants   *grants // of its listener
	nc       net.Conn

	in    input // reader only
	out   out
	acks  acks
	alarm alarm

	opened    uint32        // tick of accept
	heard     atomic.Uint32 // tick of the last packet from the client, later by what the server was busy since
	listening atomic.Bool   // the reader waits for bytes
	patience  atomic.Uint32 // ticks without a packet after which it is gone; 0 = for ever
	greeted   atomic.Bool   // CONNACK with success was sent

	// Set while CONNECT is handled, not changed afterwards.
	version   packet.Version
	client    mqtt.Client
	expiry    time.Duration // of the session, as opened
	problems  bool          // the client wants reason strings [MQTT-3.1.2-29]
	maxIn     uint32        // bytes of a packet from the client
	maxOut    uint32        // bytes of a packet to the client; 0 = no bound
	session   mqtt.Session  // nil for links
	link      mqtt.LinkEnd  // nil for clients
	connected bool          // reader only
	busy      bool          // the step had messages or acknowledgements; reader only
	silence   uint32        // ticks waited before it; reader only

	since      uint32 // tick of the last listen; reader only
	unfinished int    // bytes of the unfinished packet when hear last noted something; reader only

	opening *opening // CONNECT that waits for its authentication; reader only
	proof   proof    // reader only

	given   outAliases
	aliases inAliases          // reader only
	owed    owed               // reader only
	matches router.Cache       // reader only
	detach  mqtt.DetachRequest // reader only
	left    atomic.Bool        // the session was told of the end
	end     atomic.Pointer[ending]
}

func newConn(s *Server, listener string, g *grants, nc net.Conn) *conn {
	c := &conn{srv: s, listener: listener, grants: g, nc: nc, maxIn: g.MaxPacket}
	c.in.init(nc, &s.steps)
	c.out.init(nc, s.cfg.MaxOutput, s.metrics, &s.wheel.now, c)
	c.acks.c = c
	c.alarm.of = c
	c.opened = s.wheel.now.Load()
	return c
}

// serve is the connection's life, on its reader goroutine.
func (c *conn) serve() {
	c.srv.wheel.add(&c.alarm, inTicks(c.srv.cfg.ConnectTimeout))
	c.run()
}

// run is serve from the beginning or from where the connection was parked.
func (c *conn) run() {
	if err := c.read(); err != errParked {
		c.finish(err)
	}
}

// finish is the end of serve; err is what read ended with.
func (c *conn) finish(err error) {
	c.shut(endingOf(err))
	c.leave()
	c.out.join()
	c.drain()
	c.nc.Close() // an error means that it is closed already
	c.srv.wheel.remove(&c.alarm)
	c.in.drop()
	end := c.end.Load()
	c.srv.metrics.closed(end.why)
	c.srv.log.Debug("connection closed", "client", c.client.ID, "addr", c.nc.RemoteAddr(), "reason", end.why, "detail", end.detail)
	c.srv.exit(c)
}

// read handles packets until the connection ends; the result says why. errParked = another goroutine goes on.
func (c *conn) read() error {
	for {
		if !c.out.waitTurn() {
			return errClosing
		}
		c.listen(true)
		switch err := c.in.fill(); {
		case err == errIdle && c.park():
			return errParked
		case err == errIdle:
			continue // it cannot be parked
		case err != nil:
			return err
		}
		c.listen(false)
		if c.out.isClosing() {
			return errClosing
		}
		s := c.in.step
		c.out.hold()
		begin := s.start
		want, err := c.handleAll(s)
		c.hear(s.start > begin, len(s.data()))
		c.out.flush() // before commit, which waits when the disk is behind
		c.commit(s)
		c.mayPark()
		if len(c.owed.list) > 0 && err == nil {
			c.payOwed()
		}
		if err != nil {
			return err
		}
		c.in.rest(want)
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
		total, header, want, err := packet.Frame(data, c.maxIn) // [MQTT-3.2.2-15]
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
	case c.opening != nil:
		return c.handleOpening(kind, flags, body)
	case !c.connected:
		return c.handleConnect(flags, body, header)
	case c.link != nil:
		return c.handleLink(s, kind, flags, body)
	}
	switch kind {
	case packet.PUBLISH:
		c.busy = true
		return c.handlePublish(s, flags, body)
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		c.busy = true
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
	if c.connected || c.opening != nil {
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

// commit makes what the takers of s's publishes wrote stable; their receipts will send the
// acknowledgements.
func (c *conn) commit(s *step) {
	if !s.waited && s.batch.Empty() {
		return
	}
	s.batch.SetSlack(min(s.slack, s.qos0.Slack()))
	s.qos0.Close()
	batch := s.batch
	c.srv.steps.renew(s)
	c.srv.commit(batch)
}

// pause ends the running step early, before something that may take long or must come after it.
func (c *conn) pause(s *step) {
	c.out.flush()
	c.commit(s)
}

// drained is called by the writer when output that was full has drained.
func (c *conn) drained() {
	if c.session != nil {
		c.session.Resume()
	}
}

// shut begins the end of the connection. Only the first call counts. It does not block; the reader
// does the rest. DISCONNECT is for clients that have CONNACK. [MQTT-3.14.0-1] [MQTT-4.13.2-1]
func (c *conn) shut(end ending) {
	if !c.end.CompareAndSwap(nil, &end) {
		return
	}
	var last packet.Packet
	if c.greeted.Load() && c.version == packet.V5 && end.reason != 0 { // version is set before greeted
		last = c.disconnect(end)
	}
	c.out.shut(last, packet.V5, c.srv.cfg.CloseTimeout, end.linger)
}

// leave tells the session or the link that the connection is gone.
func (c *conn) leave() {
	switch {
	case c.session != nil:
		c.detach.DropWill = c.end.Load().normal && c.detach.DropWill
		c.session.Detach(c, c.detach)
		c.left.Store(true)
		c.dropOwed()
		c.srv.metrics.clients.Add(-1)
	case c.link != nil:
		c.link.Closed(&endError{*c.end.Load()})
		c.srv.metrics.links.Add(-1)
	}
}

// drain lets the client read the last packet.
func (c *conn) drain() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || !c.end.Load().linger || half.CloseWrite() != nil {
		return
	}
	if c.nc.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		// Ends with the client's end of stream, the deadline, or the bound; none is worth a word.
		_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
	}
}
