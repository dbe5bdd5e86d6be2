package broker

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
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
//	accepted ──CONNECT──→ greeted ──┬─ DISCONNECT, end of stream, fault ─→ shut → leave → closed
//	                                └─ (link) ─ the same with frames instead of packets
//
// Its state is kept by who may touch it:
//
//	rd                  the reader goroutine alone
//	agreed              written by the reader before CONNACK is sent, read by all afterwards
//	alive, unread       the reader, and those who watch it, with atomics
//	out, acks, given    all, each under its own lock; the writer goroutine takes its bytes out of out
//	greeted, end, left  all, with atomics
type conn struct {
	srv    *Server
	nc     net.Conn
	addr   string  // of the listener, as configured
	grants *grants // of the listener

	rd readerState
	agreed
	alive  aliveState
	unread unreadState

	out   out
	acks  acks
	given outAliases

	greeted atomic.Bool            // CONNACK with success was sent
	end     atomic.Pointer[ending] // why the connection ends; nil = it does not
	left    atomic.Bool            // the session was told of the end
}

// agreed is what CONNECT has settled. It does not change any more.
type agreed struct {
	version  packet.Version
	client   mqtt.Client
	problems bool         // the client wants reason strings [MQTT-3.1.2-29]
	maxOut   uint32       // bytes of a packet to the client; 0 = no bound
	session  mqtt.Session // nil for links
	link     mqtt.LinkEnd // nil for clients
}

// newConn returns a connection that was accepted on the listener with that address and those grants.
func newConn(s *Server, addr string, g *grants, nc net.Conn) *conn {
	c := &conn{srv: s, addr: addr, grants: g, nc: nc}
	c.rd.maxIn = g.MaxPacket
	c.rd.in.init(nc, &s.steps, &c.unread)
	c.out.init(nc, s.cfg.MaxOutput, s.metrics, &s.wheel.now, c)
	c.acks.c = c
	c.alive.alarm.of = c
	c.alive.opened = s.wheel.now.Load()
	return c
}

// serve is the connection's life, on its reader goroutine.
func (c *conn) serve() {
	c.srv.wheel.add(&c.alive.alarm, inTicks(c.srv.cfg.ConnectTimeout))
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
	c.srv.complain(c, c.end.Load())
	c.out.join()
	c.lingerForLastPacket()
	c.nc.Close() // an error means that it is closed already
	c.srv.wheel.remove(&c.alive.alarm)
	c.rd.in.drop()
	end := c.end.Load()
	c.srv.metrics.closed(end.why)
	c.srv.log.Debug("connection closed", "client", c.client.ID, "addr", c.nc.RemoteAddr(), "reason", end.why, "detail", end.detail)
	c.srv.exit(c)
}

// outputHasRoom is called by the writer, without locks, when output that was full has room again.
func (c *conn) outputHasRoom() {
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

// shutDown ends the connection because the server goes, and tells 5.0 clients of the other servers there
// are (section 4.11). Links find their way by themselves.
func (c *conn) shutDown() {
	end := ending{why: reasonLabel(packet.ServerShuttingDown), reason: packet.ServerShuttingDown}
	if to := c.srv.cfg.ShutdownReference; to != "" && c.greeted.Load() && c.link == nil {
		end.reason, end.reference = packet.UseAnotherServer, to
	}
	c.shut(end)
}

// Close implements mqtt.Outlet and mqtt.Carrier.
func (c *conn) Close(reason packet.ReasonCode) {
	c.shut(ending{why: reasonLabel(reason), reason: reason})
}

// leave tells the session or the link that the connection is gone.
func (c *conn) leave() {
	switch {
	case c.session != nil:
		c.rd.detach.DropWill = c.end.Load().normal && c.rd.detach.DropWill
		c.session.Detach(c, c.rd.detach)
		c.left.Store(true)
		c.unread.tell()
		c.dropOwed()
		c.srv.metrics.clients.Add(-1)
	case c.link != nil:
		c.link.Closed(&endError{*c.end.Load()})
		c.srv.metrics.links.Add(-1)
	}
}

// lingerForLastPacket lets the client read the last packet.
func (c *conn) lingerForLastPacket() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || !c.end.Load().linger || half.CloseWrite() != nil {
		return
	}
	if c.nc.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		// Ends with the client's end of stream, the deadline, or the bound; none is worth a word.
		_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
	}
}
