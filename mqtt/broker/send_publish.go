package broker

import (
	"encoding/binary"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// Publish implements mqtt.Outlet.
func (c *conn) Publish(m *mqtt.Message, d mqtt.Delivery, packetID uint16, dup bool) mqtt.SendResult {
	if c.given.useful(m.Topic) {
		return c.publishAliased(m, d, packetID, dup)
	}
	return c.publish(m, m.Topic, 0, d, packetID, dup)
}

// publish writes a PUBLISH with this topic name, and with an alias unless that is 0.
func (c *conn) publish(m *mqtt.Message, name string, alias uint16, d mqtt.Delivery, packetID uint16, dup bool) mqtt.SendResult {
	var scratch [128]byte
	props := scratch[:0]
	if c.version == packet.V5 {
		props = c.appendProps(props, m, d, alias)
	}
	remaining := 2 + len(name) + len(props) + len(m.Payload)
	if d.QoS > 0 {
		remaining += 2
	}
	if c.maxOut != 0 && remaining+headerSize(remaining) > int(c.maxOut) { // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
		return mqtt.TooLarge
	}
	return c.out.publish(name, m.Payload, d.QoS, firstByte(d, dup), remaining, packetID, props)
}

// publish appends a PUBLISH packet.
//
//	first byte │ remaining length │ topic │ [packet id] │ [properties] │ payload
func (o *out) publish(topicName string, payload []byte, qos, first byte, remaining int, packetID uint16, props []byte) mqtt.SendResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || o.pendingLocked() >= o.max {
		o.full = true
		return mqtt.Full
	}
	s := o.spaceLocked()
	b := append(s.b, first)
	b = binary.AppendUvarint(b, uint64(remaining)) // the same encoding as a Variable Byte Integer
	b = binary.BigEndian.AppendUint16(b, uint16(len(topicName)))
	b = append(b, topicName...)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, packetID)
	}
	b = append(b, props...)
	s.b = append(b, payload...)
	if o.sent[qos]++; o.inHand > 0 {
		o.sent.addTo(&o.metrics.sent) // the write under way may take long
	}
	o.appendedLocked()
	return mqtt.Sent
}

func firstByte(d mqtt.Delivery, dup bool) byte {
	b := byte(packet.PUBLISH)<<4 | d.QoS<<1
	if d.Retain {
		b |= 1
	}
	if dup {
		b |= 1 << 3
	}
	return b
}

// headerSize is the size of the fixed header before remaining bytes.
func headerSize(remaining int) int {
	switch {
	case remaining < 1<<7:
		return 2
	case remaining < 1<<14:
		return 3
	case remaining < 1<<21:
		return 4
	}
	return 5
}

// appendProps adds the properties of m on its way to this client.
func (c *conn) appendProps(dst []byte, m *mqtt.Message, d mqtt.Delivery, alias uint16) []byte {
	if m.Props == nil && m.Expires.IsZero() && len(d.IDs) == 0 && alias == 0 {
		return append(dst, 0)
	}
	var p packet.Properties
	if m.Props != nil {
		p = *m.Props
		p.Set &= carried
	}
	if !m.Expires.IsZero() { // [MQTT-3.3.2-6]: what is left of it
		left := m.Expires.Sub(c.srv.now())
		p.MessageExpiry = uint32(max(0, (left+time.Second-1)/time.Second))
		p.Mark(packet.PropMessageExpiry)
	}
	if len(d.IDs) > 0 { // [MQTT-3.3.4-3] [MQTT-3.3.4-4]
		p.SubscriptionIDs = d.IDs
		p.Mark(packet.PropSubscriptionID)
	}
	if alias != 0 {
		p.TopicAlias = alias
		p.Mark(packet.PropTopicAlias)
	}
	return p.Append(dst)
}
