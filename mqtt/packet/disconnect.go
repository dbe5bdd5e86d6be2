package packet

// Disconnect is the last packet on a connection.
//
//	[reason code │ [properties]]
type Disconnect struct {
	Reason ReasonCode // Success = normal disconnection; not sent before 5.0
	Props  *Properties
}

func (*Disconnect) Type() Type { return DISCONNECT }

// Decode is Packet's.
func (d *Disconnect) Decode(flags byte, body []byte, v Version) error {
	*d = Disconnect{}
	r := reader{b: body}
	r.flags(DISCONNECT, flags, 0, v, "MQTT-3.14.1-1") // [MQTT-3.14.1-1] [MQTT311-3.14.1-1]
	if v == V5 && len(r.b) > 0 {                      // absent: normal disconnection (section 3.14.2.1)
		d.readReason(&r)
	}
	if v == V5 && len(r.b) > 0 { // absent: none (section 3.14.2.2.1)
		d.Props = r.properties(AllowedDisconnect)
	}
	return r.end(DISCONNECT)
}

func (d *Disconnect) readReason(r *reader) {
	d.Reason = ReasonCode(r.uint8("reason code"))
	if !disconnectReason(d.Reason) { // [MQTT-3.14.2-1]
		r.protocol("MQTT-3.14.2-1", "%v is no reason for DISCONNECT", d.Reason)
	}
}

// Append is Packet's, in the shortest form.
func (d *Disconnect) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, DISCONNECT, 0)
	if v == V5 && (d.Reason != Success || !d.Props.empty()) {
		dst = append(dst, byte(d.Reason))
		if !d.Props.empty() {
			dst = d.Props.Append(dst)
		}
	}
	return finish(dst, at, 0)
}

// disconnectReason takes the codes of table 3-10, and 0x8C, which section 2.4 adds for a failed
// re-authentication.
func disconnectReason(c ReasonCode) bool {
	switch c {
	case Success, DisconnectWithWill, UnspecifiedError, MalformedPacket, ProtocolError,
		ImplementationSpecificError, NotAuthorized, ServerBusy, ServerShuttingDown,
		BadAuthenticationMethod, KeepAliveTimeout, SessionTakenOver, TopicFilterInvalid, TopicNameInvalid:
		return true
	}
	return c >= ReceiveMaximumExceeded && c <= WildcardNotSupported
}
