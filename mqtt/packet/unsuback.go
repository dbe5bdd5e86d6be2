package packet

// Unsuback answers UNSUBSCRIBE.
//
//	packet identifier │ [properties │ reason code…]
type Unsuback struct {
	PacketID uint16
	Props    *Properties
	Reasons  []ReasonCode // one per filter, in their order; not sent before 5.0
}

func (*Unsuback) Type() Type { return UNSUBACK }

// Decode is Packet's.
func (u *Unsuback) Decode(flags byte, body []byte, v Version) error {
	*u = Unsuback{}
	r := reader{b: body}
	r.flags(UNSUBACK, flags, 0, v, "MQTT-2.1.3-1")
	u.PacketID = r.packetID()
	if v == V5 {
		u.Props = r.properties(AllowedAck)
		u.Reasons = r.reasons(UNSUBACK, "MQTT-3.11.3-2", unsubackReason)
	}
	return r.end(UNSUBACK)
}

// Append is Packet's.
func (u *Unsuback) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, UNSUBACK, 0)
	dst = appendUint16(dst, u.PacketID)
	if v == V5 {
		dst = u.Props.Append(dst)
		for _, c := range u.Reasons { // [MQTT-3.11.3-1]
			dst = append(dst, byte(c))
		}
	}
	return finish(dst, at, 0)
}

func unsubackReason(c ReasonCode) bool {
	switch c {
	case Success, NoSubscriptionExisted, UnspecifiedError, ImplementationSpecificError, NotAuthorized,
		TopicFilterInvalid, PacketIDInUse: // [MQTT-3.11.3-2]
		return true
	}
	return false
}
