package packet

// Connack answers CONNECT.
//
//	acknowledge flags │ reason code │ [properties]
type Connack struct {
	SessionPresent bool
	Reason         ReasonCode // 5.0 code; Append derives the 3.x return code, Decode maps it back
	Props          *Properties
}

func (*Connack) Type() Type { return CONNACK }

// Decode is Packet's.
func (c *Connack) Decode(flags byte, body []byte, v Version) error {
	*c = Connack{}
	r := reader{b: body}
	r.flags(CONNACK, flags, 0, v, "MQTT-2.1.3-1")
	c.readFlags(&r, v)
	if v == V5 {
		c.readReason(&r)
		c.Props = r.properties(AllowedConnack)
	} else {
		c.readReturnCode(&r)
	}
	if c.SessionPresent && c.Reason != Success { // [MQTT-3.2.2-6] [MQTT311-3.2.2-4]
		r.protocol("MQTT-3.2.2-6", "session present with %v", c.Reason)
	}
	return r.end(CONNACK)
}

func (c *Connack) readFlags(r *reader, v Version) {
	got := r.uint8("acknowledge flags")
	if v == V31 {
		return // not used there
	}
	if got > 1 { // [MQTT-3.2.2-1]
		r.malformed("MQTT-3.2.2-1", "acknowledge flags are %#02x, want 0 or 1", got)
	}
	c.SessionPresent = got == 1
}

func (c *Connack) readReason(r *reader) {
	c.Reason = ReasonCode(r.uint8("reason code"))
	if !connackReason(c.Reason) { // [MQTT-3.2.2-8]
		r.protocol("MQTT-3.2.2-8", "%v is no reason for CONNACK", c.Reason)
	}
}

func (c *Connack) readReturnCode(r *reader) {
	code := r.uint8("return code")
	reason, known := reasonOf(code)
	if !known {
		r.malformed("", "return code is %d, want 0 to 5", code)
	}
	c.Reason = reason
}

// Append is Packet's. Before 5.0 it adds nothing for reasons without a return code: the connection
// is to be closed without an answer then [MQTT311-3.2.2-6]. Session present goes with Success only.
func (c *Connack) Append(dst []byte, v Version) []byte {
	code, ok := byte(c.Reason), true
	if v != V5 {
		code, ok = c.Reason.ReturnCode()
	}
	if !ok {
		return dst
	}
	dst, at := begin(dst, CONNACK, 0)
	var present byte
	if c.SessionPresent && c.Reason == Success && v != V31 { // [MQTT-3.2.2-6] [MQTT311-3.2.2-4]
		present = 1
	}
	dst = append(dst, present, code)
	if v == V5 {
		dst = c.Props.Append(dst)
	}
	return finish(dst, at, 0)
}

func connackReason(c ReasonCode) bool {
	switch c {
	case Success, UnspecifiedError, MalformedPacket, ProtocolError, ImplementationSpecificError,
		UnsupportedProtocolVersion, ClientIdentifierNotValid, BadUserNameOrPassword, NotAuthorized,
		ServerUnavailable, ServerBusy, Banned, BadAuthenticationMethod, TopicNameInvalid,
		PacketTooLarge, QuotaExceeded, PayloadFormatInvalid, RetainNotSupported, QoSNotSupported,
		UseAnotherServer, ServerMoved, ConnectionRateExceeded:
		return true
	}
	return false
}

// Return codes of CONNACK before 5.0.
const (
	returnAccepted        = 0
	returnBadVersion      = 1
	returnIdentifier      = 2
	returnUnavailable     = 3
	returnBadUserPassword = 4
	returnNotAuthorized   = 5
)

// ReturnCode is the CONNACK return code of 3.1 and 3.1.1 that says what c says. ok is false when
// none does: the connection is then closed without CONNACK. [MQTT311-3.2.2-6]
func (c ReasonCode) ReturnCode() (code byte, ok bool) {
	switch c {
	case Success:
		return returnAccepted, true
	case UnsupportedProtocolVersion:
		return returnBadVersion, true
	case ClientIdentifierNotValid:
		return returnIdentifier, true
	case ServerUnavailable, ServerBusy, ServerShuttingDown, UnspecifiedError, ImplementationSpecificError,
		QuotaExceeded, UseAnotherServer, ServerMoved, ConnectionRateExceeded:
		return returnUnavailable, true
	case BadUserNameOrPassword, BadAuthenticationMethod:
		return returnBadUserPassword, true
	case NotAuthorized, Banned, TopicNameInvalid:
		return returnNotAuthorized, true
	}
	return 0, false
}

// reasonOf is the reason code for a return code of 3.1 and 3.1.1.
func reasonOf(code byte) (reason ReasonCode, known bool) {
	switch code {
	case returnAccepted:
		return Success, true
	case returnBadVersion:
		return UnsupportedProtocolVersion, true
	case returnIdentifier:
		return ClientIdentifierNotValid, true
	case returnUnavailable:
		return ServerUnavailable, true
	case returnBadUserPassword:
		return BadUserNameOrPassword, true
	case returnNotAuthorized:
		return NotAuthorized, true
	}
	return UnspecifiedError, false
}
