package broker

import "mangrove/mqtt/packet"

// handleAuth refuses AUTH: no connection was opened with an authentication method, and without one
// AUTH is a protocol error. [MQTT-4.12.0-6]
func (c *conn) handleAuth(flags byte, body []byte) error {
	var p packet.Auth
	if err := p.Decode(flags, body, c.version); err != nil {
		return err
	}
	return &packet.Error{Reason: packet.ProtocolError, Rule: "MQTT-4.12.0-6", Detail: "AUTH without authentication method in CONNECT"}
}
