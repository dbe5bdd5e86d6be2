package broker

import (
	"errors"
	"fmt"
	"strings"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
	"mangrove/mqtt/transport"
)

// acceptLink greets another node: from here on the connection carries link frames.
func (c *conn) acceptLink(p *packet.Connect, versions string, answer *packet.Properties) error {
	if c.srv.cfg.Links == nil {
		return c.refuse(&packet.Error{Reason: packet.NotAuthorized, Detail: "this node accepts no links"})
	}
	c.rd.maxIn = c.srv.cfg.MaxLinkPacket
	c.out.awaitConnack(true) // frames that Accept sends follow CONNACK
	end, err := c.srv.cfg.Links.Accept(&c.client, versions, carrier{c})
	if err != nil {
		c.out.awaitConnack(false)
		return c.refuse(err)
	}
	c.link = end
	transport.Quiet(c.nc)
	c.srv.metrics.links.Add(1)
	c.setPatience(c.keepAlive(p, answer))
	c.stateBounds(p, answer)
	answer.User = []packet.UserProperty{{Name: mqtt.LinkProperty, Value: versions}}
	answer.Mark(packet.PropUser)
	c.greet(&packet.Connack{Props: answer})
	return nil
}

// handleLink handles one packet of a link.
func (c *conn) handleLink(s *step, kind packet.Type, flags byte, body []byte) error {
	switch kind {
	case packet.PUBLISH:
		return c.handleFrame(s, flags, body)
	case packet.PINGREQ:
		return c.handlePing(flags, body)
	case packet.DISCONNECT:
		return c.handleDisconnect(flags, body)
	}
	return &packet.Error{Reason: packet.ProtocolError, Detail: fmt.Sprintf("%v on a link", kind)}
}

// handleFrame gives a frame to the link. Blocking there slows the neighbour; what came before must not
// wait for it.
func (c *conn) handleFrame(s *step, flags byte, body []byte) error {
	p := &s.publish
	if err := p.Decode(flags, body, c.version); err != nil {
		return err
	}
	kind, ok := strings.CutPrefix(string(p.Topic), topic.LinkPrefix)
	if !ok || p.QoS != 0 {
		return &packet.Error{Reason: packet.ProtocolError, Detail: fmt.Sprintf("QoS %d PUBLISH to %q on a link", p.QoS, p.Topic)}
	}
	c.flushStep(s)
	err := c.link.Frame(kind, p.Payload)
	c.out.hold()
	if err != nil {
		return linkFault(kind, err)
	}
	return nil
}

// linkFault ends a link whose frame was not understood; the reason is the link's own if it has one.
func linkFault(kind string, err error) error {
	err = fmt.Errorf("link frame %s: %w", kind, err)
	end := ending{why: "link-fault", reason: packet.UnspecifiedError, detail: err.Error(), linger: true}
	if fault := (*packet.Error)(nil); errors.As(err, &fault) {
		end.reason = fault.Reason
	}
	return &endError{end}
}

// carrier is the connection as the link sees it.
type carrier struct{ c *conn }

// Frame implements mqtt.Carrier: it waits for room in the output buffer.
func (k carrier) Frame(kind string, body []byte) error {
	c := k.c
	p := &packet.Publish{Topic: []byte(topic.LinkPrefix + kind), Payload: body}
	if remaining := 3 + len(p.Topic) + len(body); c.maxOut != 0 && remaining+headerSize(remaining) > int(c.maxOut) {
		return fmt.Errorf("send link frame %s: %d bytes, the neighbour takes %d", kind, len(body), c.maxOut)
	}
	if !c.out.waitRoom() {
		return fmt.Errorf("send link frame %s: %w", kind, errClosing)
	}
	c.send(p)
	return nil
}

// Moved implements mqtt.Carrier.
func (k carrier) Moved() (m transport.Moved, ok bool) {
	waiting := k.c.out.pending()
	m, ok = transport.MovedOn(k.c.nc)
	m.Unacked += waiting
	return m, ok
}

// Close implements mqtt.Carrier.
func (k carrier) Close(reason packet.ReasonCode) { k.c.Close(reason) }
