package broker

import (
	"errors"
	"time"
)

// restless is the silence below which a connection that carries messages is not parked: waking a parked one costs
// about as much as handling a packet.
const restless = 2 * time.Second

var (
	errIdle   = errors.New("nothing to read")
	errParked = errors.New("connection is parked")
)

// mayPark decides, after a step, whether the connection may be parked when it has nothing to read.
//
//	reading ──nothing there──→ parked (no goroutine) ──readable, closed──→ reading
//	        └─ busy, and heard of within restless ──→ waits on its goroutine
func (c *conn) mayPark() {
	c.rd.in.parks = c.rd.connected && c.link == nil && (!c.rd.traffic || c.rd.wait.silence >= inTicks(restless))
	c.rd.traffic = false
}

// park ends the reader goroutine until there is something to read; false = it has to wait itself. After true
// nothing may be touched: the next reader may run already.
func (c *conn) park() bool {
	c.rd.in.parks = false
	return c.rd.in.src.Park(&c.srv.lot, c.unpark) // errIdle comes from a src only
}

// unpark goes on with a new reader. It ends with its connection, or when that is parked again.
func (c *conn) unpark() { go c.run() }
