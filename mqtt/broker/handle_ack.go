package broker

import "mangrove/mqtt/packet"

// handleAck handles PUBACK, PUBREC, PUBREL and PUBCOMP: they are the session's business.
func (c *conn) handleAck(s *step, kind packet.Type, flags byte, body []byte) error {
	p := &s.ack
	p.Kind = kind
	if err := p.Decode(flags, body, c.version); err != nil {
		return err
	}
	if kind == packet.PUBREL && s.waited {
		c.commit(s) // so that forgetting an id comes after noting it, also for a client that does not wait
	}
	return c.session.Acked(kind, p.PacketID, p.Reason)
}
