package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// errClosed is the broker closing a connection.
var errClosed = errors.New("the broker closed the connection")

const (
	readSize = 128 << 10             // bytes asked of one read
	maxWait  = 20 * time.Millisecond // of one wait, so that clocks are looked at
)

// loop owns every connection of a run.
//
//	turn: flush what is to be written → wait → read and handle → publishers go on
type loop struct {
	ctx    context.Context
	poll   *poller
	began  time.Time
	now    int64 // nanoseconds since began, of the last wake
	conns  []*conn
	dirty  []*conn // have something to write
	events []event
	buf    []byte

	// after is called at the end of each turn; it says when it wants to be called again, 0 = with the next event.
	after func() (at int64)
	wake  int64
	err   error // the first fault; ends the run

	refused func(c *conn, err error) // called instead for connections that are not open yet; nil = they are faults too
}

func newLoop(ctx context.Context, maxPacket int) (*loop, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &loop{ctx: ctx, poll: poll, began: time.Now(), buf: make([]byte, maxPacket+readSize)}, nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		c.drop()
	}
	l.poll.close()
}

// open begins a connection.
func (l *loop) open(to netip.AddrPort, local netip.Addr, greeting []byte, c *conn) error {
	fd, err := dial(to, local)
	if err != nil {
		return err
	}
	c.l, c.fd, c.tag, c.state = l, fd, int32(len(l.conns)), dialling
	c.out = append(c.out[:0], greeting...)
	if err := l.poll.add(fd, c.tag, true); err != nil {
		closeSocket(fd)
		return err
	}
	l.conns = append(l.conns, c)
	return nil
}

// until turns until done says so. It ends early with ctx or the first fault.
func (l *loop) until(done func() bool) error {
	for !done() {
		if err := l.turn(); err != nil {
			return err
		}
	}
	return nil
}

// forNow turns for a time.
func (l *loop) forNow(d time.Duration) error {
	end := l.clock() + int64(d)
	return l.until(func() bool { return l.now >= end })
}

func (l *loop) clock() int64 {
	l.now = int64(time.Since(l.began))
	return l.now
}

func (l *loop) turn() (err error) {
	l.flush()
	if l.err != nil {
		return l.err
	}
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if l.events, err = l.poll.wait(l.events[:0], l.patience()); err != nil {
		return err
	}
	l.clock()
	for _, ev := range l.events {
		l.conns[ev.tag].ready(ev)
	}
	l.wake = 0
	if l.after != nil {
		l.wake = l.after()
	}
	return l.err
}

func (l *loop) patience() time.Duration {
	if l.wake == 0 {
		return maxWait
	}
	return max(0, min(time.Duration(l.wake-l.clock()), maxWait))
}

// flush writes what the turn left behind, one write for each connection.
func (l *loop) flush() {
	for _, c := range l.dirty {
		c.flush()
	}
	l.dirty = l.dirty[:0]
}

// fail ends the run with the first fault.
func (l *loop) fail(c *conn, err error) {
	switch {
	case l.refused != nil && (c.state == dialling || c.state == greeting):
		l.refused(c, err)
	case l.err == nil:
		l.err = fmt.Errorf("client %s: %w", c.id, err)
	}
	c.drop()
}
