package frame

import (
	"encoding/binary"

	"mangrove/internal/bytesread"
)

// Load is what a core tells the other cores of its edges, now and then, so that each knows who has too many. Cores tell it to those
// whose HELLO has FeatureSpread.
//
//	version  1
//	edges    uvarint
//	weight   uvarint
//	members  8
//	flags    1, bit 0: busy
type Load struct {
	Edges   int    // that are linked to it
	Weight  int    // the share of all edges that it wants, in proportion to others'
	Members uint64 // sum of the names of all cores that it knows: who counts others does not know how many edges there are
	Busy    bool   // no edge is to be asked to come or go: it hands over messages, or has lost its memory
}

// Append writes the frame behind dst.
func (f Load) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, version), uint64(max(f.Edges, 0)))
	dst = binary.AppendUvarint(dst, uint64(max(f.Weight, 0)))
	dst = binary.BigEndian.AppendUint64(dst, f.Members)
	if f.Busy {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// DecodeLoad reads a LOAD frame.
func DecodeLoad(b []byte) (f Load, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f = Load{Edges: r.Count(1 << 24), Weight: r.Count(1 << 20), Members: r.Uint64(), Busy: r.Uint8()&1 != 0}
	return f, done(&r, KindLoad)
}
