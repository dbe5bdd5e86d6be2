package packet

// Suback answers SUBSCRIBE.
//
//	packet identifier │ [properties] │ reason code…
type Suback struct {
	PacketID uint16
	Props    *Properties
	Reasons  []ReasonCode // one per filter, in their order; 3.x: failures become 0x80
}

func (*Suback) Type() Type { return SUBACK }

// Decode is Packet's.
func (s *Suback) Decode(flags byte, body []byte, v Version) error {
	*s = Suback{}
	r := reader{b: body}
	r.flags(SUBACK, flags, 0, v, "MQTT-2.1.3-1")
	s.PacketID = r.packetID()
	if v == V5 {
		s.Props = r.properties(AllowedAck)
	}
	s.Reasons = r.reasons(SUBACK, "MQTT-3.9.3-2", func(c ReasonCode) bool { return subackReason(c, v) })
	return r.end(SUBACK)
}

// reasons reads the rest of the body as reason codes; there is at least one.
func (r *reader) reasons(t Type, rule string, valid func(ReasonCode) bool) []ReasonCode {
	if len(r.b) == 0 {
		r.protocol(rule, "%v without reason code", t)
		return nil
	}
	codes := make([]ReasonCode, len(r.b))
	for i, c := range r.take(len(r.b), "reason codes") {
		codes[i] = ReasonCode(c)
		if !valid(codes[i]) {
			r.protocol(rule, "%v is no reason for %v", codes[i], t)
			return nil
		}
	}
	return codes
}

// Append is Packet's.
func (s *Suback) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, SUBACK, 0)
	dst = appendUint16(dst, s.PacketID)
	if v == V5 {
		dst = s.Props.Append(dst)
	}
	for _, c := range s.Reasons { // [MQTT-3.9.3-1]
		if v != V5 && c >= UnspecifiedError { // [MQTT311-3.9.3-2]
			c = UnspecifiedError
		}
		dst = append(dst, byte(c))
	}
	return finish(dst, at, 0)
}

func subackReason(c ReasonCode, v Version) bool {
	switch c {
	case Success, GrantedQoS1, GrantedQoS2, UnspecifiedError: // the whole list of 3.1.1 [MQTT311-3.9.3-2]
		return true
	case ImplementationSpecificError, NotAuthorized, TopicFilterInvalid, PacketIDInUse, QuotaExceeded,
		SharedNotSupported, SubscriptionIDsNotSupported, WildcardNotSupported: // [MQTT-3.9.3-2]
		return v == V5
	}
	return false
}
