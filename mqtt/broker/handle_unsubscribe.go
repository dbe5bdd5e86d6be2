package broker

import "mangrove/mqtt/packet"

// handleUnsubscribe answers with one UNSUBACK that has an entry for each filter, in their order. [MQTT-2.2.1-6]
// [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT311-2.3.1-7] [MQTT311-3.10.4-4]
// [MQTT311-3.10.4-5] [MQTT311-3.10.4-6]
func (c *conn) handleUnsubscribe(s *step, flags byte, body []byte) error {
	var p packet.Unsubscribe
	if err := p.Decode(flags, body, c.version); err != nil {
		return err
	}
	c.flushStep(s) // forgetting a subscription may wait for the disk
	answer := &packet.Unsuback{PacketID: p.PacketID, Reasons: make([]packet.ReasonCode, len(p.Filters))}
	existed, err := c.session.Unsubscribe(p.Filters)
	if err != nil && c.version < packet.V5 {
		return &endError{ending{why: "not-kept", detail: err.Error()}} // UNSUBACK could only say yes
	}
	if err != nil {
		answer.Props = c.because(packet.UnspecifiedError, "the change could not be kept")
	}
	for i, filter := range p.Filters { // [MQTT-3.11.3-2]
		c.rd.owed.forget(filter)
		switch {
		case err != nil:
			answer.Reasons[i] = packet.UnspecifiedError
		case !existed[i]:
			answer.Reasons[i] = packet.NoSubscriptionExisted
		}
	}
	c.send(answer)
	return nil
}
