package frame

import "mangrove/internal/bytesread"

// Probe asks the other side for a sign of life, and is the answer. Both sides of a link may ask.
//
//	version  1
//	flags    1, bit 0: this is the answer
type Probe struct{ Answer bool }

// Append writes the frame behind dst.
func (f Probe) Append(dst []byte) []byte {
	if f.Answer {
		return append(dst, version, 1)
	}
	return append(dst, version, 0)
}

// DecodeProbe reads a PROBE frame.
func DecodeProbe(b []byte) (f Probe, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f.Answer = r.Uint8()&1 != 0
	return f, done(&r, KindProbe)
}
