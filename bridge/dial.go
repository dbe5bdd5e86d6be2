package bridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// frameRoom is what a frame may need beyond the messages in it.
const frameRoom = 64 << 10

// attempt dials once and, if that works, stays until the link is over; the end of ctx does not end the link. prepare runs between the two; nil = nothing.
func (b *Bridge) attempt(ctx context.Context, expect, addr string, prepare func() error) outcome {
	d, err := b.reach(ctx, expect, addr)
	if err != nil {
		return outcome{err: err}
	}
	return d.stay(prepare)
}

// dialled is a connection to a node that takes links, before anything was said on it.
type dialled struct {
	l *link
	c *client.Client
}

// reach dials once. errNotLink = who is there takes no links.
func (b *Bridge) reach(ctx context.Context, expect, addr string) (dialled, error) {
	b.metrics.dials.Inc()
	l := b.newLink(expect, addr, true)
	c, err := b.dial(ctx, l)
	if err != nil {
		if ctx.Err() == nil {
			b.metrics.dialErrors.Inc()
		}
		return dialled{}, fmt.Errorf("dial %s: %w", addr, err)
	}
	if !isLink(c.Connack().Props) {
		c.Close(packet.Success)
		<-c.Done()
		return dialled{}, errNotLink
	}
	return dialled{l, c}, nil
}

// stay makes the connection a link, and returns when that is over.
func (d dialled) stay(prepare func() error) outcome {
	defer func() { <-d.c.Done() }()
	var err error
	if prepare != nil {
		err = prepare()
	}
	if err == nil && !d.l.b.admit(d.l) {
		err = errClosing
	}
	if err != nil {
		d.c.Close(packet.Success)
		return outcome{err: err}
	}
	d.l.start(d.c)
	return d.l.wait(d.l.b.ctx)
}

// drop ends a connection that is not wanted.
func (d dialled) drop() {
	d.c.Abort()
	<-d.c.Done()
}

// isLink tells whether the answer to CONNECT is that of a Mangrove node that takes the link.
func isLink(answer *packet.Properties) bool {
	return answer.Has(packet.PropUser) && slices.ContainsFunc(answer.User, func(u packet.UserProperty) bool { return u.Name == mqtt.LinkProperty })
}

func (b *Bridge) dial(ctx context.Context, l *link) (*client.Client, error) {
	return client.Dial(ctx, client.Config{
		Addr: l.addr, Version: packet.V5, ClientID: b.cfg.Node, Clean: true,
		Username: b.cfg.Username, Password: b.cfg.Password, KeepAlive: b.cfg.KeepAlive, ConnectTimeout: b.cfg.Handshake,
		UserProps: []packet.UserProperty{{Name: mqtt.LinkProperty, Value: Versions}},
		MaxPacket: uint32(b.cfg.MaxFrameBytes + frameRoom),
		OnFrame:   l.Frame, OnClose: l.Closed,
		Dial: b.cfg.Dial, Log: b.cfg.Log,
	})
}

// pause waits a random part of a bound that doubles with each failure (full jitter), but at least retry. False when ctx ended.
func (b *Bridge) pause(ctx context.Context, failures int, retry time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(retry + b.jitter(failures))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// jitter is a random part of a bound that doubles with each failure.
func (b *Bridge) jitter(failures int) time.Duration {
	bound := b.cfg.Backoff.Min
	for range failures {
		if bound = min(2*bound, b.cfg.Backoff.Max); bound == b.cfg.Backoff.Max {
			break
		}
	}
	return time.Duration(b.cfg.Rand(uint64(bound)))
}
