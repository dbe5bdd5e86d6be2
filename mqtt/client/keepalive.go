package client

import (
	"sync"
	"time"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// minPingTimeout is the least that PINGRESP gets where Config says nothing.
const minPingTimeout = 2 * time.Second

// keepAlive sends PINGREQ when nothing else was written, or nothing came, for two thirds of the interval, so that the server
// hears from us within it [MQTT-3.1.2-20], and ends the connection when no answer comes for as long again: a dead line is
// noticed within four thirds of the interval, and one that loses packets has time to send them again. On a line that is
// paid by the byte each PINGREQ counts, so none leaves earlier.
//
// On a thin line PINGREQ waits behind what was written before it. As long as the server's kernel acknowledges some of that,
// the line lives; the time for the answer counts from when PINGREQ has arrived.
type keepAlive struct {
	c       *Client
	period  time.Duration
	timeout time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	pinged  time.Duration   // when PINGREQ was sent last, since the client's start
	waiting bool            // for something to come since asked
	asked   time.Duration   // as pinged, but moved on while bytes of ours arrive
	before  transport.Moved // at the tick before
}

// begin starts the timer. KeepAlive 0 or below = off.
func (k *keepAlive) begin(c *Client) {
	if c.cfg.KeepAlive <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.c, k.period, k.timeout = c, 2*c.cfg.KeepAlive/3, c.cfg.PingTimeout
	if k.timeout == 0 {
		k.timeout = max(k.period, minPingTimeout)
	}
	k.timer = time.AfterFunc(k.period, k.tick)
}

func (k *keepAlive) tick() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	now, heard, wrote := time.Since(k.c.start), time.Duration(k.c.lastRead.Load()), time.Duration(k.c.w.last.Load())
	if k.waiting && heard >= k.asked {
		k.waiting = false
	}
	if k.advances() {
		k.asked = now
	}
	if k.waiting && now-k.asked >= k.timeout {
		k.c.fail(ErrPingTimeout)
		return
	}
	due := max(min(heard, wrote), k.pinged) + k.period
	if now >= due {
		if !k.waiting {
			k.waiting, k.asked = true, now
		}
		_ = k.c.w.packet(&packet.Pingreq{}, k.c.cfg.Version) // fails only when the connection is closing
		k.pinged, due = now, now+k.period
	}
	if k.waiting {
		due = min(due, k.asked+k.timeout)
	}
	k.timer.Reset(due - now)
}

// advances reports whether the server's kernel has acknowledged something since the tick before while bytes of ours were
// under way. A PINGREQ alone, which it acknowledges at once, says nothing of the server.
func (k *keepAlive) advances() bool {
	m, ok := transport.MovedOn(k.c.conn)
	advances := ok && m.Acked != k.before.Acked && (m.Unacked > 0 || k.before.Unacked > 0)
	k.before = m
	return advances
}

func (k *keepAlive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	if k.timer != nil {
		k.timer.Stop()
	}
}
