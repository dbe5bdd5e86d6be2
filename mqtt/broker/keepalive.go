package broker

import (
	"time"

	"mangrove/mqtt/packet"
)

// keepAlive is the keep-alive of the connection. A 5.0 client that asks for more than the bound is given
// the bound [MQTT-3.2.2-21]; everybody else keeps its own [MQTT-3.2.2-22].
func (c *conn) keepAlive(p *packet.Connect, answer *packet.Properties) (alive time.Duration) {
	alive = time.Duration(p.KeepAlive) * time.Second
	if max := c.grants.KeepAliveMax; c.version == packet.V5 && max > 0 && (alive == 0 || alive > max) {
		alive = max.Truncate(time.Second)
		answer.ServerKeepAlive = uint16(alive / time.Second)
		answer.Mark(packet.PropServerKeepAlive)
	}
	return alive
}

// setPatience says after which silence the client is gone: 1.5 × keep alive [MQTT-3.1.2-22].
func (c *conn) setPatience(alive time.Duration) {
	if alive == 0 {
		c.patience.Store(0)
		return
	}
	c.patience.Store(inTicks(alive + alive/2))
	c.srv.wheel.add(&c.alarm, c.patience.Load())
}

// signOfLife is how many bytes of an unfinished packet count as much as a packet: a large one may take its time on a
// slow line, a byte now and then may not.
const signOfLife = 1024

// listen notes whether the reader waits for the client: only then is silence the client's.
func (c *conn) listen(yes bool) {
	now := c.srv.wheel.now.Load()
	switch {
	case !yes:
		c.silence = now - c.since
	case !c.listening.Load():
		c.heard.Add(now - c.since) // the server was busy
	}
	c.since = now
	c.listening.Store(yes)
}

// hear notes what the client has sent since listen(false): whole packets, and the bytes of one that is unfinished.
func (c *conn) hear(packets bool, unfinished int) {
	if packets || unfinished >= c.unfinished+signOfLife {
		c.heard.Store(c.since)
		c.unfinished = unfinished
	}
}

// look is the wheel's look at the connection.
func (c *conn) look(now uint32) (again uint32) {
	if began := c.out.began.Load(); began != 0 && now-began >= inTicks(c.srv.cfg.WriteTimeout) {
		c.shut(ending{why: "write-timeout", detail: "the client does not read"})
		c.nc.Close() // the writer is stuck; its Write ends with an error
		return 0
	}
	again = inTicks(c.srv.cfg.WriteTimeout) / 2
	if !c.greeted.Load() {
		return min(again, c.lookConnecting(now))
	}
	patience := c.patience.Load()
	switch {
	case patience == 0:
		return again
	case !c.listening.Load():
		return min(again, patience)
	}
	silent := now - c.heard.Load()
	if silent < patience {
		return min(again, patience-silent)
	}
	// [MQTT-3.1.2-22] [MQTT311-3.1.2-24]
	c.shut(ending{why: "keep-alive-timeout", reason: packet.KeepAliveTimeout, detail: "nothing heard for 1.5 × keep alive"})
	return again
}

// lookConnecting ends a connection whose CONNECT takes too long, however busy it is with other bytes.
func (c *conn) lookConnecting(now uint32) (again uint32) {
	patience := inTicks(c.srv.cfg.ConnectTimeout)
	if age := now - c.opened; age < patience {
		return patience - age
	}
	c.shut(ending{why: "connect-timeout", detail: "no CONNECT in time"})
	return patience
}
