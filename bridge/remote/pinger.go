package remote

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/log"

	"mangrove/mqtt/transport"
)

// errNoAnswer ends a connection whose broker is silent.
var errNoAnswer = errors.New("broker does not answer")

// pinger is paho's PingHandler. paho's own takes a line for dead when PINGRESP does not come in time, also while a large
// message is on its way in either direction. This one waits for as long as bytes come in, or the broker's kernel
// acknowledges some of what stands before PINGREQ. It asks after two thirds of the keep-alive.
type pinger struct {
	begun       time.Time
	sent, heard atomic.Int64 // since begun
	writing     atomic.Bool  // PINGREQ waits for the wire

	// Run only.
	before  transport.Moved // at the look before
	pinged  time.Time       // when PINGREQ was sent last
	waiting bool            // for something to come since asked
	asked   time.Time       // as pinged, but moved on while bytes of ours arrive
}

func newPinger() *pinger { return &pinger{begun: time.Now()} }

// Run implements paho's Pinger: it returns when ctx ends, or with the reason why the connection is to end.
func (p *pinger) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	if keepAlive == 0 {
		return nil
	}
	alive := time.Duration(keepAlive) * time.Second
	ticker := time.NewTicker(alive / 6)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if !p.look(conn, alive) {
				return errNoAnswer
			}
		}
	}
}

// look tells whether the broker is there, as far as is known, and asks it when it is time.
func (p *pinger) look(conn net.Conn, alive time.Duration) bool {
	now := time.Now()
	if m, ok := transport.MovedOn(conn); ok {
		if m.Received != p.before.Received {
			p.PacketReceived()
		}
		if m.Acked != p.before.Acked && (m.Unacked > 0 || p.before.Unacked > 0) {
			p.asked = now
		}
		p.before = m
	}
	heard := p.begun.Add(time.Duration(p.heard.Load()))
	if p.waiting && !heard.Before(p.asked) {
		p.waiting = false
	}
	if p.waiting && now.Sub(p.asked) >= max(alive/2, 2*time.Second) {
		return false
	}
	sent := p.begun.Add(time.Duration(p.sent.Load()))
	quiet := alive * 7 / 12 // at the fourth look, be it a little early or late
	if now.Sub(p.pinged) >= quiet && (now.Sub(sent) >= quiet || now.Sub(heard) >= quiet) {
		p.ask(conn, now)
	}
	return true
}

// ask sends PINGREQ, unless one waits for the wire.
func (p *pinger) ask(conn net.Conn, now time.Time) {
	p.pinged = now
	if !p.waiting {
		p.waiting, p.asked = true, now
	}
	if p.writing.Swap(true) {
		return
	}
	go func() { // ends with the write, which the connection's end ends
		defer p.writing.Store(false)
		if _, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(conn); err == nil {
			p.PacketSent()
		}
	}()
}

// PacketSent implements paho's Pinger.
func (p *pinger) PacketSent() { p.sent.Store(int64(time.Since(p.begun))) }

// PacketReceived implements paho's Pinger.
func (p *pinger) PacketReceived() { p.heard.Store(int64(time.Since(p.begun))) }

// PingResp implements paho's Pinger.
func (p *pinger) PingResp() { p.PacketReceived() }

// SetDebug implements paho's Pinger; nothing is logged.
func (p *pinger) SetDebug(log.Logger) {}
