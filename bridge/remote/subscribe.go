package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/eclipse/paho.golang/paho"
)

// Filter is one subscription to ask for.
type Filter struct {
	Filter string
	QoS    byte   // 0 or 1
	ID     uint32 // what copies for it are marked with; 0 = nothing. Ignored where the broker cannot.
	Quiet  bool   // its retained messages are here already
}

// perSubscribe is how many filters go into one packet: some brokers take no more.
const perSubscribe = 8

// Subscribe asks for messages: not our own (No Local), with RETAIN as they were published. A filter that the broker
// has already brings no retained messages again. refused are those that the broker did not grant. It waits
// for the answers, as patient does.
func (c *Conn) Subscribe(ctx context.Context, filters []Filter) (refused []Filter, err error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	for len(filters) > 0 {
		some := c.together(filters)
		filters = filters[len(some):]
		ack, err := c.askSubscribe(ctx, subscribePacket(some, c.marks()))
		if errors.Is(err, paho.ErrInvalidArguments) { // a wildcard, and the broker knows none
			refused = append(refused, some...)
			continue
		}
		if ack == nil {
			return refused, c.lost("subscribe at broker", err)
		}
		for i, f := range some {
			if i >= len(ack.Reasons) || ack.Reasons[i] >= 0x80 {
				refused = append(refused, f)
			}
		}
	}
	return refused, nil
}

func (c *Conn) askSubscribe(ctx context.Context, p *paho.Subscribe) (*paho.Suback, error) {
	ctx, stop := c.patient(ctx)
	defer stop()
	return c.paho.Subscribe(ctx, p)
}

func (c *Conn) askUnsubscribe(ctx context.Context, p *paho.Unsubscribe) (*paho.Unsuback, error) {
	ctx, stop := c.patient(ctx)
	defer stop()
	return c.paho.Unsubscribe(ctx, p)
}

// Retain Handling [MQTT-3.3.1-10] [MQTT-3.3.1-11].
const (
	retainedIfNew   = 1
	retainedNotSent = 2
)

// together are the first filters that go into one packet: an identifier is for all of a packet.
func (c *Conn) together(filters []Filter) []Filter {
	n := 1
	for n < min(len(filters), perSubscribe) && (!c.marks() || filters[n].ID == filters[0].ID) {
		n++
	}
	return filters[:n]
}

// marks tells whether the broker takes subscription identifiers.
func (c *Conn) marks() bool {
	return c.connack.Properties == nil || c.connack.Properties.SubIDAvailable
}

// lost is why a request has no answer: what the broker said when it ended the connection, else err.
func (c *Conn) lost(doing string, err error) error {
	if why := c.session.why(); why != nil {
		return why
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func subscribePacket(filters []Filter, marks bool) *paho.Subscribe {
	p := &paho.Subscribe{Properties: new(paho.SubscribeProperties)}
	if id := int(filters[0].ID); id != 0 && marks {
		p.Properties.SubscriptionIdentifier = &id
	}
	for _, f := range filters {
		o := paho.SubscribeOptions{Topic: f.Filter, QoS: min(f.QoS, 1), NoLocal: true, RetainAsPublished: true, RetainHandling: retainedIfNew}
		if f.Quiet {
			o.RetainHandling = retainedNotSent
		}
		p.Subscriptions = append(p.Subscriptions, o)
	}
	return p
}

// Unsubscribe withdraws filters. That the broker does not know one is no error.
func (c *Conn) Unsubscribe(ctx context.Context, filters []string) error {
	if err := c.Flush(); err != nil {
		return err
	}
	for len(filters) > 0 {
		some := filters[:min(len(filters), perSubscribe)]
		filters = filters[len(some):]
		ack, err := c.askUnsubscribe(ctx, &paho.Unsubscribe{Topics: some})
		if ack == nil {
			return c.lost("unsubscribe at broker", err)
		}
	}
	return nil
}
