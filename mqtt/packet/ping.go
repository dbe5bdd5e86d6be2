package packet

// Pingreq asks the server for a sign of life.
type Pingreq struct{}

// Pingresp answers PINGREQ.
type Pingresp struct{}

func (*Pingreq) Type() Type { return PINGREQ }

// Decode is Packet's.
func (*Pingreq) Decode(flags byte, body []byte, v Version) error {
	return decodeEmpty(PINGREQ, flags, body, v)
}

// Append is Packet's.
func (*Pingreq) Append(dst []byte, _ Version) []byte { return append(dst, byte(PINGREQ)<<4, 0) }

func (*Pingresp) Type() Type { return PINGRESP }

// Decode is Packet's.
func (*Pingresp) Decode(flags byte, body []byte, v Version) error {
	return decodeEmpty(PINGRESP, flags, body, v)
}

// Append is Packet's.
func (*Pingresp) Append(dst []byte, _ Version) []byte { return append(dst, byte(PINGRESP)<<4, 0) }

// decodeEmpty checks a packet that has no body.
func decodeEmpty(t Type, flags byte, body []byte, v Version) error {
	r := reader{b: body}
	r.flags(t, flags, 0, v, "MQTT-2.1.3-1")
	return r.end(t)
}
