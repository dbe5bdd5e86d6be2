package broker

import "mangrove/mqtt/packet"

// handlePing answers PINGREQ. [MQTT-3.12.4-1] [MQTT311-3.12.4-1]
func (c *conn) handlePing(flags byte, body []byte) error {
	var p packet.Pingreq
	if err := p.Decode(flags, body, c.version); err != nil {
		return err
	}
	c.send(&packet.Pingresp{})
	return nil
}
