package firmwaresim

import (
	"context"
	"fmt"
	"time"

	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// How devices and verifier connect. The session outlives every fault of a run.
const (
	sessionExpiry = time.Hour
	keepAlive     = 30 * time.Second
)

// linkConfig is one connection of a device or of the verifier.
type linkConfig struct {
	addr, id           string
	username, password string
	session            *client.State
	will               *Outgoing
	receive            func(topic string, payload []byte, retained bool) // on the connection's reading goroutine
}

// link is a connection that is up. Safe for concurrent use.
type link struct{ *client.Client }

// dial connects; present tells whether the broker remembers the session.
func dial(ctx context.Context, cfg linkConfig) (l *link, present bool, err error) {
	c := client.Config{
		Addr: cfg.addr, ClientID: cfg.id, Username: cfg.username, KeepAlive: keepAlive, SessionExpiry: sessionExpiry,
		State:     cfg.session,
		OnMessage: func(m *client.Message) { cfg.receive(m.Topic, m.Payload, m.Retain) },
	}
	if cfg.password != "" {
		c.Password = []byte(cfg.password)
	}
	if cfg.will != nil {
		c.Will = &packet.Will{Topic: cfg.will.Topic, Payload: cfg.will.Payload, QoS: cfg.will.QoS, Retain: cfg.will.Retain}
	}
	conn, err := client.Dial(ctx, c)
	if err != nil {
		return nil, false, err
	}
	return &link{conn}, conn.SessionPresent(), nil
}

// forget ends a session at its broker: the client has nothing for a DISCONNECT that does so, a clean start has.
func forget(ctx context.Context, cfg linkConfig) error {
	c := client.Config{Addr: cfg.addr, ClientID: cfg.id, Username: cfg.username, Clean: true}
	if cfg.password != "" {
		c.Password = []byte(cfg.password)
	}
	conn, err := client.Dial(ctx, c)
	if err != nil {
		return err
	}
	return conn.Disconnect(ctx)
}

// receiveMaximum is how many QoS 1 and 2 messages the broker takes before it acknowledges.
func (l *link) receiveMaximum() int {
	if p := l.Connack().Props; p.Has(packet.PropReceiveMaximum) {
		return int(p.ReceiveMaximum)
	}
	return 1<<16 - 1
}

// publish sends without waiting. acked is called once, later, when out is acknowledged at QoS 1 or 2, and may be nil
// for those who do not care; ok is false when the broker refused. An error means that out was not taken.
func (l *link) publish(out Outgoing, acked func(ok bool)) error {
	m := &client.Message{Topic: out.Topic, Payload: out.Payload, QoS: out.QoS, Retain: out.Retain}
	if acked == nil || out.QoS == 0 {
		return l.TryPublish(m, nil)
	}
	return l.TryPublish(m, func(_ packet.ReasonCode, err error) { acked(err == nil) })
}

// subscribe wants live messages only, not what is retained.
func (l *link) subscribe(ctx context.Context, qos byte, filters ...string) error {
	var want []packet.SubscribeFilter
	for _, f := range filters {
		want = append(want, packet.SubscribeFilter{Filter: f, QoS: qos, RetainHandling: 2})
	}
	granted, err := l.Subscribe(ctx, want...)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", filters[0], err)
	}
	for i, reason := range granted {
		if reason != packet.ReasonCode(qos) {
			return fmt.Errorf("subscribe to %s at QoS %d: granted %v", filters[i], qos, reason)
		}
	}
	return nil
}

// close ends the connection, without its will, and waits.
func (l *link) close() {
	l.Close(packet.Success)
	<-l.Done()
}
