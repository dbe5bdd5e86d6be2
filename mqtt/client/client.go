package client

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/mqtt/packet"
)

// closeGrace is how long the server gets to close the connection after our DISCONNECT.
const closeGrace = 2 * time.Second

// Client is one connection to a server. Safe for concurrent use.
//
//	Dial → connected ─ Disconnect, Close → DISCONNECT written ─ server closes, or closeGrace → Done
//	               └─ Abort, network, server, protocol error ─────────────────────────────→ Done
type Client struct {
	cfg     Config
	conn    net.Conn
	connack packet.Connack
	start   time.Time // zero of the times below

	w  writer
	st *State // its lock guards window and requests too
	window
	requests
	exchange exchange

	lastRead atomic.Int64 // since start
	alive    keepAlive

	failOnce sync.Once
	err      error         // set before failed is closed
	failed   chan struct{} // the connection is over or about to be
	done     chan struct{} // nothing of it is left
}

// Dial connects to cfg.Addr, sends CONNECT and waits for CONNACK. A CONNACK that refuses is an
// *Error. ctx counts until Dial returns, not after; Config.ConnectTimeout
// says what it takes at most.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, start: time.Now(), failed: make(chan struct{}), done: make(chan struct{}), st: cfg.State}
	if c.st == nil {
		c.st = new(State)
	}
	ctx, cancel := context.WithTimeout(ctx, 4*cfg.ConnectTimeout)
	defer cancel()
	if err := c.st.acquire(ctx, c); err != nil {
		return nil, err
	}
	if err := c.connect(ctx); err != nil {
		c.st.release(c)
		close(c.done)
		return nil, err
	}
	return c, nil
}

// Connack is the server's answer to CONNECT. Not to be changed.
func (c *Client) Connack() *packet.Connack { return &c.connack }

// SessionPresent reports whether the server had a session of this client.
func (c *Client) SessionPresent() bool { return c.connack.SessionPresent }

// ClientID is the client id in use: the configured one, or what the server assigned.
func (c *Client) ClientID() string {
	if c.connack.Props.Has(packet.PropAssignedClientID) {
		return c.connack.Props.AssignedClientID
	}
	return c.cfg.ClientID
}

// Done is closed when the connection is over and no callback will run any more.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err tells why the connection ended or is ending; nil before. ErrClosed = from this side. An
// *Error = a DISCONNECT from the server.
func (c *Client) Err() error {
	select {
	case <-c.failed:
		return c.err
	default:
		return nil
	}
}

// fail ends the connection at once. The first reason is kept.
func (c *Client) fail(err error) {
	c.give(err)
	if err := c.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		c.cfg.Log.Debug("close of the connection failed", "err", err)
	}
}

// give says why the connection ends, and wakes all who wait.
func (c *Client) give(err error) {
	c.failOnce.Do(func() {
		c.err = err
		close(c.failed)
	})
}

// Disconnect waits until all messages under way are acknowledged, sends DISCONNECT, and returns
// when the connection is closed. Nothing can be published meanwhile. When ctx ends first the
// connection is aborted and the error is ctx's.
func (c *Client) Disconnect(ctx context.Context) error {
	if err := c.drain(ctx); err != nil {
		c.Abort()
		<-c.done
		return err
	}
	c.Close(packet.Success)
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		c.Abort()
		return ctx.Err()
	}
}

// Close sends DISCONNECT and ends the connection when it has left. It does not block and may be called
// from anywhere, twice. Before 5.0 a reason other than Success ends without DISCONNECT, so
// that the will is published.
func (c *Client) Close(reason packet.ReasonCode) { c.closeWith(ErrClosed, reason) }

func (c *Client) closeWith(err error, reason packet.ReasonCode) {
	c.give(err)
	if c.cfg.Version != packet.V5 && reason != packet.Success {
		c.fail(err)
		return
	}
	c.w.finish(&packet.Disconnect{Reason: reason}, c.cfg.Version)
}

// Abort closes the connection without DISCONNECT: the server will publish the will.
func (c *Client) Abort() { c.fail(ErrClosed) }

// ended runs on the reading goroutine when reading is over.
func (c *Client) ended(err error) {
	c.fail(err)
	c.alive.stop()
	c.w.discard()
	c.w.running.Wait()
	c.endRequests()
	if c.cfg.State == nil {
		c.st.Drop(c.err)
	}
	c.st.release(c)
	if c.cfg.OnClose != nil {
		c.cfg.OnClose(c.err)
	}
	close(c.done)
}
