package packet

import "slices"

// DecodeProperties reads a property length and the properties after it. allowed is the set of
// bits (1<<Property) the packet may carry. It returns nil properties when there are none, and the
// bytes that follow. Byte slices alias b.
func DecodeProperties(b []byte, allowed uint64) (p *Properties, rest []byte, err error) {
	r := reader{b: b}
	p = r.properties(allowed)
	if r.err != nil {
		return nil, nil, r.err
	}
	return p, r.b, nil
}

func (r *reader) properties(allowed uint64) *Properties {
	if len(r.b) > 0 && r.b[0] == 0 {
		r.b = r.b[1:]
		return nil
	}
	section := reader{b: r.take(r.varint("property length"), "properties")}
	if r.err != nil {
		return nil
	}
	p := new(Properties)
	for len(section.b) > 0 {
		section.property(p, allowed)
	}
	if section.err == nil && p.Has(PropAuthData) && !p.Has(PropAuthMethod) {
		section.protocol("", "authentication data without authentication method")
	}
	if section.err != nil {
		r.err, r.b = section.err, nil
		return nil
	}
	return p
}

func (r *reader) property(p *Properties, allowed uint64) {
	id := r.varint("property identifier")
	if r.err != nil {
		return
	}
	if id >= 63 || allowed&(1<<id) == 0 || p.field(Property(id)) == nil {
		r.malformed("", "property %d (%#02x) is not allowed here", id, id)
		return
	}
	if p.Has(Property(id)) && !repeats(Property(id), allowed) {
		r.protocol("", "property %v comes twice", Property(id))
		return
	}
	p.Mark(Property(id))
	r.value(p, Property(id))
	if r.err == nil {
		r.check(p, Property(id))
	}
}

func repeats(id Property, allowed uint64) bool {
	return id == PropUser || id == PropSubscriptionID && allowed&ManySubscriptionIDs != 0
}

func (r *reader) value(p *Properties, id Property) {
	switch f := p.field(id).(type) {
	case *byte:
		*f = r.uint8(id.String())
	case *uint16:
		*f = r.uint16(id.String())
	case *uint32:
		*f = r.uint32(id.String())
	case *[]uint32:
		*f = append(double(*f), uint32(r.varint(id.String())))
	case *[]byte:
		*f = r.binary(id.String())
	case *[]UserProperty: // [MQTT-1.5.7-1]
		*f = append(double(*f), UserProperty{
			Name:  string(r.text("user property name")),
			Value: string(r.text("user property value")),
		})
	case *string:
		if id == PropResponseTopic { // [MQTT-3.3.2-13] [MQTT-3.3.2-14]
			*f = string(r.topicName("response topic", "MQTT-3.3.2-14"))
			return
		}
		*f = string(r.text(id.String())) // [MQTT-3.3.2-19] and the like
	}
}

// check refuses values outside of a property's range.
func (r *reader) check(p *Properties, id Property) {
	switch id {
	case PropReceiveMaximum:
		if p.ReceiveMaximum == 0 {
			r.protocol("", "receive maximum is 0")
		}
	case PropMaximumPacketSize:
		if p.MaximumPacketSize == 0 {
			r.protocol("", "maximum packet size is 0")
		}
	case PropTopicAlias:
		if p.TopicAlias == 0 { // [MQTT-3.3.2-8]
			r.fail(TopicAliasInvalid, "MQTT-3.3.2-8", "topic alias is 0")
		}
	case PropSubscriptionID:
		if p.SubscriptionIDs[len(p.SubscriptionIDs)-1] == 0 {
			r.protocol("", "subscription identifier is 0")
		}
	default:
		if f, ok := p.field(id).(*byte); ok && *f > 1 {
			r.protocol("", "%v is %d, want 0 or 1", id, *f)
		}
	}
}

// double makes room in a full list by doubling it. append alone grows long lists by a quarter, which
// makes several times the garbage when somebody sends a property a hundred thousand times.
func double[T any](list []T) []T {
	if len(list) < cap(list) {
		return list
	}
	return slices.Grow(list, max(1, len(list)))
}
