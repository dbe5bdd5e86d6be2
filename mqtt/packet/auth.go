package packet

// Auth is a step of enhanced authentication. It exists since 5.0.
//
//	[reason code │ properties]
type Auth struct {
	Reason ReasonCode
	Props  *Properties
}

func (*Auth) Type() Type { return AUTH }

// Decode is Packet's.
func (a *Auth) Decode(flags byte, body []byte, v Version) error {
	*a = Auth{}
	r := reader{b: body}
	if v != V5 {
		r.malformed("", "AUTH before version 5.0")
		return r.err
	}
	r.flags(AUTH, flags, 0, v, "MQTT-3.15.1-1") // [MQTT-3.15.1-1]
	if r.err == nil && len(r.b) == 0 {          // Success without properties (section 3.15.2.1)
		return nil
	}
	a.readReason(&r)
	a.Props = r.properties(AllowedAuth)
	if !a.Props.Has(PropAuthMethod) { // section 3.15.2.2.2
		r.protocol("", "AUTH without authentication method")
	}
	return r.end(AUTH)
}

func (a *Auth) readReason(r *reader) {
	a.Reason = ReasonCode(r.uint8("reason code"))
	switch a.Reason {
	case Success, ContinueAuthentication, ReAuthenticate: // [MQTT-3.15.2-1]
	default:
		r.protocol("MQTT-3.15.2-1", "%v is no reason for AUTH", a.Reason)
	}
}

// Append is Packet's, in the shortest form. Before 5.0 it adds nothing.
func (a *Auth) Append(dst []byte, v Version) []byte {
	if v != V5 {
		return dst
	}
	dst, at := begin(dst, AUTH, 0)
	if a.Reason != Success || !a.Props.empty() {
		dst = a.Props.Append(append(dst, byte(a.Reason)))
	}
	return finish(dst, at, 0)
}
