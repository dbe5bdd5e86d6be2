package remote

import "encoding/binary"

// countMarks tells how many subscription identifiers a PUBLISH has: paho keeps one of them. b is what follows the fixed
// header, or the beginning of it. More than one, or not to be found out, is 2.
//
//	topic: length 2, bytes   [packet identifier 2]   properties: varint length, (identifier 1, value)...
func countMarks(b []byte, qos byte) (n int) {
	if b = skip(b, 2, lengthAt(b)); qos > 0 {
		b = skip(b, 2, 0)
	}
	size, used := binary.Uvarint(b)
	if used <= 0 || size > uint64(len(b)-used) {
		return 2
	}
	for p := b[used : used+int(size)]; len(p) > 0; {
		if p[0] == 11 {
			n++
		}
		if p = afterProperty(p); p == nil {
			return 2
		}
	}
	return min(n, 2)
}

// afterProperty leaves out one property of a PUBLISH; nil = cannot be read.
func afterProperty(p []byte) []byte {
	kind, p := p[0], p[1:]
	switch kind {
	case 1: // payload format
		return skip(p, 1, 0)
	case 2: // message expiry
		return skip(p, 4, 0)
	case 35: // topic alias
		return skip(p, 2, 0)
	case 3, 8, 9: // content type, response topic, correlation data
		return skip(p, 2, lengthAt(p))
	case 38: // user property
		p = skip(p, 2, lengthAt(p))
		return skip(p, 2, lengthAt(p))
	case 11: // subscription identifier
		if _, used := binary.Uvarint(p); used > 0 {
			return skip(p, used, 0)
		}
	}
	return nil
}

func lengthAt(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(b))
}

// skip leaves out fixed and more bytes; nil when there are not so many. What is left may be empty, but is not nil.
func skip(b []byte, fixed, more int) []byte {
	if len(b) < fixed+more || b == nil {
		return nil
	}
	return b[fixed+more:]
}
