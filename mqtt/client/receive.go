package client

import (
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// handlePublish hands a message or frame over and acknowledges it afterwards.
//
//	QoS 1: PUBLISH ─ OnMessage ─ PUBACK
//	QoS 2: PUBLISH ─ id known? ─no→ OnMessage, id noted ─ PUBREC … PUBREL ─ id forgotten ─ PUBCOMP
//	                           └yes────────────────────── PUBREC
func (r *reader) handlePublish(flags byte, body []byte) error {
	c, p := r.c, &r.publish
	if err := p.Decode(flags, body, c.cfg.Version); err != nil {
		return err
	}
	if len(p.Topic) == 0 || p.Props.Has(packet.PropTopicAlias) { // [MQTT-3.1.2-27]: we allow none
		return &packet.Error{Reason: packet.TopicAliasInvalid, Rule: "MQTT-3.1.2-27",
			Detail: "topic alias, none are allowed here"}
	}
	if p.QoS == 2 {
		return r.handleQoS2()
	}
	if err := r.deliver(); err != nil {
		return err
	}
	if p.QoS == 1 { // [MQTT-4.3.2-4] [MQTT-4.6.0-2]
		return c.acknowledge(packet.PUBACK, p.PacketID, packet.Success)
	}
	return nil
}

func (r *reader) handleQoS2() error {
	c, id := r.c, r.publish.PacketID
	known, err := c.st.knows(id, c.receiveMaximum())
	if err != nil {
		return err
	}
	if !known { // [MQTT-4.3.3-10]
		if err := r.deliver(); err != nil {
			return err
		}
		c.st.note(id)
	}
	return c.acknowledge(packet.PUBREC, id, packet.Success) // [MQTT-4.3.3-8] [MQTT-4.6.0-3]
}

// receiveMaximum is how many QoS 2 messages may be half done: before 5.0 the packet ids bound them.
func (c *Client) receiveMaximum() int {
	if c.cfg.Version != packet.V5 {
		return 1 << 16
	}
	return int(c.cfg.ReceiveMaximum)
}

func (r *reader) deliver() error {
	cfg := &r.c.cfg
	if kind, ok := r.frameKind(); ok {
		return cfg.OnFrame(kind, r.publish.Payload)
	}
	if cfg.OnMessage != nil {
		cfg.OnMessage(received(&r.publish))
	}
	return nil
}

// frameKind is the kind of the frame in r.publish; ok is false when it is a message.
func (r *reader) frameKind() (kind string, ok bool) {
	name := r.publish.Topic
	const under = len(topic.LinkPrefix)
	if r.c.cfg.OnFrame == nil || len(name) < under || string(name[:under]) != topic.LinkPrefix {
		return "", false
	}
	if rest := name[under:]; string(rest) != r.kind {
		r.kind = string(rest)
	}
	return r.kind, true
}

// acknowledge sends an acknowledgement. That the connection is closing is no error here.
func (c *Client) acknowledge(kind packet.Type, id uint16, reason packet.ReasonCode) error {
	err := c.w.packet(&packet.Ack{Kind: kind, PacketID: id, Reason: reason}, c.cfg.Version)
	if err == ErrClosed {
		return nil
	}
	return err
}

// handleRelease ends a QoS 2 message that came in. [MQTT-4.3.3-11]
func (c *Client) handleRelease(p *packet.Ack) error {
	reason := packet.Success
	if !c.st.forget(p.PacketID) && c.cfg.Version == packet.V5 {
		reason = packet.PacketIDNotFound
	}
	return c.acknowledge(packet.PUBCOMP, p.PacketID, reason)
}
