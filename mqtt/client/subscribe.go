package client

import (
	"context"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// maxRequests bounds the SUBSCRIBE and UNSUBSCRIBE packets without an answer; above is ErrBusy.
const maxRequests = 1024

// requests are SUBSCRIBE and UNSUBSCRIBE packets that wait for their answers. They end with the
// connection. The State's lock guards them.
type requests struct {
	open  map[uint16]*request
	ended bool
}

type request struct {
	answer packet.Type
	want   int                      // filters asked for
	got    chan []packet.ReasonCode // capacity 1; closed without a value when the connection ends
}

// SubscribeOptions go with all filters of one SUBSCRIBE; 5.0 only.
type SubscribeOptions struct {
	ID   uint32 // subscription identifier, 0 = none
	User []packet.UserProperty
}

// Subscribe subscribes and waits for the answer: one reason code for each filter, the granted QoS or
// a refusal from 0x80 on. An error means that there was no answer.
func (c *Client) Subscribe(ctx context.Context, filters ...packet.SubscribeFilter) ([]packet.ReasonCode, error) {
	return c.SubscribeWith(ctx, SubscribeOptions{}, filters...)
}

// SubscribeWith is Subscribe with properties.
func (c *Client) SubscribeWith(ctx context.Context, o SubscribeOptions, filters ...packet.SubscribeFilter) ([]packet.ReasonCode, error) {
	for _, f := range filters {
		if err := topic.CheckFilter(f.Filter, topic.MaxLength); err != nil {
			return nil, err
		}
	}
	p := &packet.Subscribe{Filters: filters}
	if o.ID != 0 {
		p.Props = &packet.Properties{SubscriptionIDs: []uint32{o.ID}}
		p.Props.Mark(packet.PropSubscriptionID)
	}
	if len(o.User) > 0 {
		if p.Props == nil {
			p.Props = &packet.Properties{}
		}
		p.Props.User = o.User
		p.Props.Mark(packet.PropUser)
	}
	r := &request{answer: packet.SUBACK, want: len(filters)}
	return c.ask(ctx, r, func(id uint16) packet.Packet { p.PacketID = id; return p })
}

// Unsubscribe takes filters back and waits for the answer: one reason code for each filter, before
// 5.0 always Success.
func (c *Client) Unsubscribe(ctx context.Context, filters ...string) ([]packet.ReasonCode, error) {
	for _, f := range filters {
		if err := topic.CheckFilter(f, topic.MaxLength); err != nil {
			return nil, err
		}
	}
	r := &request{answer: packet.UNSUBACK, want: len(filters)}
	return c.ask(ctx, r, func(id uint16) packet.Packet { return &packet.Unsubscribe{PacketID: id, Filters: filters} })
}

// ask sends a request and waits for its answer.
func (c *Client) ask(ctx context.Context, r *request, make func(id uint16) packet.Packet) ([]packet.ReasonCode, error) {
	if r.want == 0 { // [MQTT-3.8.3-2] [MQTT-3.10.3-2]
		return nil, protocolError("at least one filter is needed")
	}
	if err := c.sendRequest(r, make); err != nil {
		return nil, err
	}
	select {
	case reasons, ok := <-r.got:
		if !ok {
			return nil, c.Err()
		}
		return reasons, nil
	case <-ctx.Done():
		return nil, ctx.Err() // the packet id stays in use until the answer comes
	}
}

func (c *Client) sendRequest(r *request, packetOf func(id uint16) packet.Packet) error {
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	if err := c.Err(); err != nil {
		return err
	}
	q := &c.requests
	if q.ended {
		return ErrClosed
	}
	if len(q.open) >= maxRequests {
		return ErrBusy
	}
	id := c.st.nextIDLocked(q.open)
	if id == 0 {
		return ErrBusy
	}
	if err := c.w.packet(packetOf(id), c.cfg.Version); err != nil {
		return err
	}
	if q.open == nil {
		q.open = make(map[uint16]*request)
	}
	r.got = make(chan []packet.ReasonCode, 1)
	q.open[id] = r
	return nil
}

// answered hands SUBACK or UNSUBACK to the one who waits. After a wrong answer that one is told why with the
// connection's end, which comes of the error.
func (c *Client) answered(id uint16, kind packet.Type, reasons []packet.ReasonCode) error {
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	r := c.requests.open[id]
	if r == nil || r.answer != kind {
		return protocolError("got %v for packet id %d, which was not asked for", kind, id)
	}
	if kind == packet.UNSUBACK && c.cfg.Version != packet.V5 {
		reasons = make([]packet.ReasonCode, r.want)
	}
	if len(reasons) != r.want { // [MQTT-3.8.4-6] [MQTT-3.11.3-1]
		return protocolError("got %v with %d reason codes, want %d", kind, len(reasons), r.want)
	}
	delete(c.requests.open, id)
	r.got <- reasons // has room: it is the only one
	return nil
}

// endRequests wakes all who wait for an answer that will not come.
func (c *Client) endRequests() {
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	c.requests.ended = true
	for _, r := range c.requests.open {
		close(r.got)
	}
	c.requests.open = nil
}
