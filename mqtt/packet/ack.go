package packet

// Ack is PUBACK, PUBREC, PUBREL and PUBCOMP: one shape, four types.
//
//	packet identifier │ [reason code │ [properties]]
type Ack struct {
	Kind     Type
	PacketID uint16
	Reason   ReasonCode // 3.x: always Success
	Props    *Properties
}

func (a *Ack) Type() Type { return a.Kind }

// Decode is Packet's. Kind stays what it was: it is told by the first byte, which Decode does not
// see whole. Without properties it does not allocate.
func (a *Ack) Decode(flags byte, body []byte, v Version) error {
	*a = Ack{Kind: a.Kind}
	r := reader{b: body}
	r.flags(a.Kind, flags, a.flags(), v, a.flagsRule())
	a.PacketID = r.packetID()
	if v == V5 && len(r.b) > 0 { // absent: Success (section 3.4.2.1)
		a.readReason(&r)
	}
	if v == V5 && len(r.b) > 0 { // absent: none (section 3.4.2.2.1)
		a.Props = r.properties(AllowedAck)
	}
	return r.end(a.Kind)
}

func (a *Ack) readReason(r *reader) {
	a.Reason = ReasonCode(r.uint8("reason code"))
	if !ackReason(a.Kind, a.Reason) { // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
		r.protocol(a.reasonRule(), "%v is no reason for %v", a.Reason, a.Kind)
	}
}

// Append is Packet's, in the shortest form.
func (a *Ack) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, a.Kind, a.flags())
	dst = appendUint16(dst, a.PacketID)
	if v == V5 && (a.Reason != Success || !a.Props.empty()) {
		dst = append(dst, byte(a.Reason))
		if !a.Props.empty() {
			dst = a.Props.Append(dst)
		}
	}
	return finish(dst, at, 0)
}

// flags of the first byte: only PUBREL has a bit set. [MQTT-3.6.1-1] [MQTT311-3.6.1-1]
func (a *Ack) flags() byte {
	if a.Kind == PUBREL {
		return 0x02
	}
	return 0
}

func (a *Ack) flagsRule() string {
	if a.Kind == PUBREL {
		return "MQTT-3.6.1-1"
	}
	return "MQTT-2.1.3-1"
}

func (a *Ack) reasonRule() string {
	switch a.Kind {
	case PUBACK:
		return "MQTT-3.4.2-1"
	case PUBREC:
		return "MQTT-3.5.2-1"
	case PUBREL:
		return "MQTT-3.6.2-1"
	}
	return "MQTT-3.7.2-1"
}

func ackReason(kind Type, c ReasonCode) bool {
	if kind == PUBREL || kind == PUBCOMP {
		return c == Success || c == PacketIDNotFound
	}
	switch c {
	case Success, NoMatchingSubscribers, UnspecifiedError, ImplementationSpecificError, NotAuthorized,
		TopicNameInvalid, PacketIDInUse, QuotaExceeded, PayloadFormatInvalid:
		return true
	}
	return false
}
