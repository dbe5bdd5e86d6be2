package packet

import "math"

// begin starts a packet: first byte, and one byte for the remaining length, which finish fills in.
func begin(dst []byte, t Type, flags byte) (out []byte, length int) {
	return append(dst, byte(t)<<4|flags, 0), len(dst) + 1
}

// finish writes the length of what follows dst[at], and of more bytes yet to come, as a Variable
// Byte Integer at dst[at]. What is there already moves when the length needs more than one byte.
func finish(dst []byte, at, more int) []byte {
	n := len(dst) - at - 1 + more
	if n < 0x80 {
		dst[at] = byte(n)
		return dst
	}
	if n > MaxRemaining {
		panic("BUG: packet longer than an MQTT packet can be")
	}
	wider := varintSize(n) - 1
	dst = append(dst, 0, 0, 0)[:len(dst)+wider]
	copy(dst[at+1+wider:], dst[at+1:])
	appendVarint(dst[:at], n)
	return dst
}

func appendUint16(dst []byte, n uint16) []byte { return append(dst, byte(n>>8), byte(n)) }

func appendUint32(dst []byte, n uint32) []byte {
	return append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// appendText writes a UTF-8 Encoded String or Binary Data.
func appendText[T string | []byte](dst []byte, s T) []byte {
	if len(s) > math.MaxUint16 {
		panic("BUG: text longer than 65,535 bytes") // [MQTT-4.7.3-3]
	}
	return append(appendUint16(dst, uint16(len(s))), s...)
}
