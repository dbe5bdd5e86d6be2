package packet

import "math/bits"

// Append adds the property length and every property present, by rising identifier. Safe on nil
// (adds length 0). [MQTT-2.2.2-1]
func (p *Properties) Append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, 0)
	if p == nil {
		return dst
	}
	for set := p.Set; set != 0; set &= set - 1 {
		dst = p.appendOne(dst, Property(bits.TrailingZeros64(set)))
	}
	return finish(dst, at, 0)
}

func (p *Properties) appendOne(dst []byte, id Property) []byte {
	switch f := p.field(id).(type) {
	case *byte:
		return append(dst, byte(id), *f)
	case *uint16:
		return appendUint16(append(dst, byte(id)), *f)
	case *uint32:
		return appendUint32(append(dst, byte(id)), *f)
	case *string:
		return appendText(append(dst, byte(id)), *f)
	case *[]byte:
		return appendText(append(dst, byte(id)), *f)
	case *[]uint32:
		for _, n := range *f {
			dst = appendVarint(append(dst, byte(id)), int(n))
		}
	case *[]UserProperty: // in their order [MQTT-3.3.2-18]
		for _, u := range *f {
			dst = appendText(appendText(append(dst, byte(id)), u.Name), u.Value)
		}
	}
	return dst
}

// empty reports whether p has nothing to write.
func (p *Properties) empty() bool { return p == nil || p.Set == 0 }
