package packet

import "mangrove/mqtt/topic"

// Subscribe asks for messages.
//
//	packet identifier │ [properties] │ (topic filter │ options)…
type Subscribe struct {
	PacketID uint16
	Props    *Properties // SubscriptionIDs holds at most one
	Filters  []SubscribeFilter
}

// SubscribeFilter is one topic filter with its options. Before 5.0 only QoS exists.
type SubscribeFilter struct {
	Filter            string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0 send, 1 send if new, 2 do not send
}

// Bits of the subscription options.
const (
	optionQoS               = 0x03
	optionNoLocal           = 0x04
	optionRetainAsPublished = 0x08
	optionRetainHandling    = 0x30
	optionReserved          = 0xC0
)

func (*Subscribe) Type() Type { return SUBSCRIBE }

// Decode is Packet's.
func (s *Subscribe) Decode(flags byte, body []byte, v Version) error {
	*s = Subscribe{}
	r := reader{b: body}
	r.flags(SUBSCRIBE, flags, 0x02, v, "MQTT-3.8.1-1") // [MQTT-3.8.1-1] [MQTT311-3.8.1-1]
	s.PacketID = r.packetID()
	if v == V5 {
		s.Props = r.properties(AllowedSubscribe)
	}
	s.Filters = make([]SubscribeFilter, 0, r.countTexts(1))
	for len(r.b) > 0 {
		var f SubscribeFilter
		f.read(&r, v)
		s.Filters = append(s.Filters, f)
	}
	if len(s.Filters) == 0 { // [MQTT-3.8.3-2] [MQTT311-3.8.3-3]
		r.protocol("MQTT-3.8.3-2", "SUBSCRIBE without topic filter")
	}
	return r.end(SUBSCRIBE)
}

func (f *SubscribeFilter) read(r *reader, v Version) {
	f.Filter = r.topicFilter()
	options := r.uint8("subscription options")
	f.QoS = options & optionQoS
	if f.QoS > 2 { // [MQTT-3.8.3-5] [MQTT311-3-8.3-4]
		r.protocol("MQTT-3.8.3-5", "requested QoS is 3")
	}
	switch v {
	case V5:
		f.readOptions(r, options)
	case V31: // the other bits are not used
	default:
		if options > 2 { // [MQTT311-3-8.3-4]
			r.malformed("MQTT311-3-8.3-4", "reserved bits of requested QoS are %#02x, want 0", options&^optionQoS)
		}
	}
}

func (f *SubscribeFilter) readOptions(r *reader, options byte) {
	f.NoLocal = options&optionNoLocal != 0
	f.RetainAsPublished = options&optionRetainAsPublished != 0
	f.RetainHandling = options & optionRetainHandling >> 4
	switch {
	case options&optionReserved != 0: // [MQTT-3.8.3-5]
		r.malformed("MQTT-3.8.3-5", "reserved subscription options are %#02x, want 0", options&optionReserved)
	case f.RetainHandling > 2: // section 3.8.3.1
		r.protocol("", "retain handling is 3")
	case f.NoLocal && topic.Shared(f.Filter): // [MQTT-3.8.3-4]
		r.protocol("MQTT-3.8.3-4", "no local on the shared subscription %q", f.Filter)
	}
}

// Append is Packet's.
func (s *Subscribe) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, SUBSCRIBE, 0x02)
	dst = appendUint16(dst, s.PacketID)
	if v == V5 {
		dst = s.Props.Append(dst)
	}
	for i := range s.Filters {
		f := &s.Filters[i]
		dst = append(appendText(dst, f.Filter), f.options(v))
	}
	return finish(dst, at, 0)
}

func (f *SubscribeFilter) options(v Version) byte {
	if v != V5 {
		return f.QoS
	}
	options := f.QoS | f.RetainHandling<<4
	if f.NoLocal {
		options |= optionNoLocal
	}
	if f.RetainAsPublished {
		options |= optionRetainAsPublished
	}
	return options
}
