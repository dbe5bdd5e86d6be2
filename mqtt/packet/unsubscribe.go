package packet

// Unsubscribe ends subscriptions.
//
//	packet identifier │ [properties] │ topic filter…
type Unsubscribe struct {
	PacketID uint16
	Props    *Properties
	Filters  []string
}

func (*Unsubscribe) Type() Type { return UNSUBSCRIBE }

// Decode is Packet's.
func (u *Unsubscribe) Decode(flags byte, body []byte, v Version) error {
	*u = Unsubscribe{}
	r := reader{b: body}
	r.flags(UNSUBSCRIBE, flags, 0x02, v, "MQTT-3.10.1-1") // [MQTT-3.10.1-1] [MQTT311-3.10.1-1]
	u.PacketID = r.packetID()
	if v == V5 {
		u.Props = r.properties(AllowedUnsubscribe)
	}
	u.Filters = make([]string, 0, r.countTexts(0))
	for len(r.b) > 0 {
		u.Filters = append(u.Filters, r.topicFilter())
	}
	if len(u.Filters) == 0 { // [MQTT-3.10.3-2] [MQTT311-3.10.3-2]
		r.protocol("MQTT-3.10.3-2", "UNSUBSCRIBE without topic filter")
	}
	return r.end(UNSUBSCRIBE)
}

// Append is Packet's.
func (u *Unsubscribe) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, UNSUBSCRIBE, 0x02)
	dst = appendUint16(dst, u.PacketID)
	if v == V5 {
		dst = u.Props.Append(dst)
	}
	for _, f := range u.Filters {
		dst = appendText(dst, f)
	}
	return finish(dst, at, 0)
}
