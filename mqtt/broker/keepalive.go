package broker

import (
	"sync/atomic"
	"time"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// aliveState is how long the client may be silent, and has been. The reader notes when it hears of the client; the wheel
// looks. Times are ticks of the wheel.
type aliveState struct {
	alarm    alarm
	opened   uint32        // tick of accept
	heard    atomic.Uint32 // tick of the client's last packet, moved forward by the time during which we did not read
	awaiting atomic.Bool   // the reader waits for bytes
	patience atomic.Uint32 // ticks of silence after which the client is gone; 0 = for ever
	taken    takenState
}

// takenState is what the wheel knows of bytes that the client's kernel has acknowledged: on a thin line a write takes its
// time, and an answer waits behind it.
type takenState struct {
	looked uint32 // tick of the latest look; 0 = none
	acked  uint64 // bytes, when at was noted
	at     uint32 // enough bytes more were acknowledged after this tick; 0 = never
}

// waitState is what the reader knows of its latest wait for bytes.
type waitState struct {
	since      uint32 // tick in which the wait began or, once it is over, ended
	silence    uint32 // ticks that it took
	unfinished int    // bytes of the unfinished packet when hear last noted something
}

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
		c.alive.patience.Store(0)
		return
	}
	c.alive.patience.Store(inTicks(alive + alive/2))
	first := c.alive.patience.Load()
	if c.link != nil {
		first = 1 // what it takes is looked at from the beginning
	}
	c.srv.wheel.add(&c.alive.alarm, first)
}

// signOfLife is how many bytes of an unfinished packet count as much as a packet: a large one may take its time on a
// slow line, a byte now and then may not.
const signOfLife = 1024

// awaitingBytes notes whether the reader waits for the client: only then is silence the client's.
func (c *conn) awaitingBytes(yes bool) {
	now := c.srv.wheel.now.Load()
	w := &c.rd.wait
	switch {
	case !yes:
		w.silence = now - w.since
	case !c.alive.awaiting.Load():
		c.alive.heard.Add(now - w.since) // the server was busy
	}
	w.since = now
	c.alive.awaiting.Store(yes)
}

// hear notes what the client has sent since awaitingBytes(false): whether whole packets came, and how many bytes of
// an unfinished one are there.
func (c *conn) hear(packets bool, unfinished int) {
	w := &c.rd.wait
	if packets || unfinished >= w.unfinished+signOfLife {
		c.alive.heard.Store(w.since)
		w.unfinished = unfinished
	}
}

// look is the wheel's look at the connection.
func (c *conn) look(now uint32) (again uint32) {
	began, isLink := c.out.began.Load(), c.greeted.Load() && c.link != nil
	if began != 0 || isLink {
		c.lookTaken(now, isLink)
	}
	if began != 0 && now-max(began, c.alive.taken.at) >= inTicks(c.srv.cfg.WriteTimeout) {
		c.shut(ending{why: "write-timeout", detail: "the client does not read"})
		c.nc.Close() // the writer is stuck; its Write ends with an error
		return 0
	}
	again = inTicks(c.srv.cfg.WriteTimeout) / 2
	if !c.greeted.Load() {
		return min(again, c.lookConnecting(now))
	}
	patience := c.alive.patience.Load()
	switch {
	case patience == 0:
		return again
	case !c.alive.awaiting.Load():
		return min(again, patience)
	}
	heard := c.alive.heard.Load()
	if isLink {
		heard, again = max(heard, c.alive.taken.at), min(again, patience/4)
	}
	silent := now - heard
	if silent < patience {
		return min(again, patience-silent)
	}
	// [MQTT-3.1.2-22] [MQTT311-3.1.2-24]
	c.shut(ending{why: "keep-alive-timeout", reason: packet.KeepAliveTimeout, detail: "nothing heard for 1.5 × keep alive"})
	return again
}

// lookTaken notes whether the client's kernel goes on acknowledging what is written. Of another node any byte counts.
func (c *conn) lookTaken(now uint32, isLink bool) {
	t, enough := &c.alive.taken, uint64(signOfLife)
	if isLink {
		enough = 1
	}
	m, ok := transport.MovedOn(c.nc)
	switch {
	case !ok:
		return
	case t.looked == 0:
		t.acked = m.Acked
	case m.Acked >= t.acked+enough:
		t.acked, t.at = m.Acked, t.looked
	}
	t.looked = now
}

// lookConnecting ends a connection whose CONNECT takes too long, however busy it is with other bytes.
func (c *conn) lookConnecting(now uint32) (again uint32) {
	patience := inTicks(c.srv.cfg.ConnectTimeout)
	if age := now - c.alive.opened; age < patience {
		return patience - age
	}
	c.shut(ending{why: "connect-timeout", detail: "no CONNECT in time"})
	return patience
}
