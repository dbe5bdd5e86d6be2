package broker

import (
	"mangrove/mqtt/packet"
)

// send sends an answer to the client. One that is larger than the client takes ends the connection: without
// it the client could not go on.
func (c *conn) send(p packet.Packet) {
	if !c.out.send(p, c.version) {
		c.shut(ending{why: "answer-too-large", reason: packet.PacketTooLarge, detail: "an answer is larger than the client takes"})
	}
}

// because is the reason string for a refusal, for clients that want one. [MQTT-3.1.2-29]
func (c *conn) because(reason packet.ReasonCode, detail string) *packet.Properties {
	if c.version < packet.V5 || !c.problems || reason < packet.UnspecifiedError || detail == "" {
		return nil
	}
	return (&packet.Properties{ReasonString: detail}).Mark(packet.PropReasonString)
}

// Ack implements mqtt.Outlet.
func (c *conn) Ack(kind packet.Type, packetID uint16, reason packet.ReasonCode) {
	if kind == packet.PUBCOMP {
		c.acks.completed(packetID)
	}
	if reason == packet.Success {
		c.out.ack(kind, packetID, c.version)
		return
	}
	c.send(&packet.Ack{Kind: kind, PacketID: packetID, Reason: reason, Props: c.because(reason, "this packet identifier is not in use")})
}
