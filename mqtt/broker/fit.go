package broker

import "mangrove/mqtt/packet"

// explaining are the properties that a packet can do without: they only say more about its reason.
const explaining = 1<<packet.PropReasonString | 1<<packet.PropUser | 1<<packet.PropServerReference

// appendFit appends p to dst within limit bytes, 0 = any number. What only explains is left out first;
// ok is false, and dst as it was, when that does not help. [MQTT-3.1.2-24]
func appendFit(dst []byte, p packet.Packet, v packet.Version, limit uint32) (out []byte, ok bool) {
	fits := func(grown []byte) bool { return limit == 0 || uint64(len(grown)-len(dst)) <= uint64(limit) }
	grown := p.Append(dst, v)
	if fits(grown) {
		return grown, true
	}
	if props := propsOf(p); props != nil && *props != nil {
		needed := **props
		needed.Set &^= explaining
		*props = &needed
		if grown = p.Append(dst, v); fits(grown) {
			return grown, true
		}
	}
	return dst, false
}

// propsOf points to the properties of a packet that may hold some that only explain.
//
// [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3]
// [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2]
// [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.15.2-2] [MQTT-3.15.2-3]
func propsOf(p packet.Packet) **packet.Properties {
	switch p := p.(type) {
	case *packet.Connack:
		return &p.Props
	case *packet.Ack:
		return &p.Props
	case *packet.Suback:
		return &p.Props
	case *packet.Unsuback:
		return &p.Props
	case *packet.Disconnect:
		return &p.Props
	case *packet.Auth:
		return &p.Props
	}
	return nil
}
