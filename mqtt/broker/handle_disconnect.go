package broker

import "mangrove/mqtt/packet"

// handleDisconnect handles the client's goodbye. [MQTT-3.14.4-3] [MQTT311-3.14.4-3]
func (c *conn) handleDisconnect(flags byte, body []byte) error {
	var p packet.Disconnect
	if err := p.Decode(flags, body, c.version); err != nil {
		return err
	}
	if p.Props.Has(packet.PropSessionExpiry) {
		wanted := expiryOf(p.Props.SessionExpiry)
		if c.rd.expiry == 0 && wanted != 0 { // section 3.14.2.2.2
			return &packet.Error{Reason: packet.ProtocolError, Detail: "session expiry set where it was 0"}
		}
		granted := c.grants.expiry(wanted)
		c.rd.detach.Expiry = &granted
	}
	c.rd.detach.DropWill = p.Reason == packet.Success
	return errBye
}

// disconnect is the DISCONNECT that tells a 5.0 client why the server ends the connection. It sets no session expiry.
// [MQTT-3.14.2-2]
func (c *conn) disconnect(end ending) *packet.Disconnect {
	p := &packet.Disconnect{Reason: end.reason, Props: c.because(end.reason, end.detail)}
	if end.reference != "" {
		p.Props = refer(p.Props, end.reference)
	}
	return p
}

// refer adds a server reference to props, which may be nil.
func refer(props *packet.Properties, to string) *packet.Properties {
	if props == nil {
		props = &packet.Properties{}
	}
	props.ServerReference = to
	return props.Mark(packet.PropServerReference)
}
