package frame

import (
	"encoding/binary"

	"mangrove/internal/bytesread"
)

// Twin tells a node that another one runs under its name.
//
//	version  1
//	store    uvarint, of the other: the receiver's own when it runs on a copy of the receiver's data folder
//	life     uvarint, of the other; 0 = not known
//	where    uvarint length, bytes: for people, its address or the core that it is at
type Twin struct {
	Store uint64
	Life  uint64
	Where string // cut at 256 bytes
}

// Append writes the frame behind dst.
func (f Twin) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, version), f.Store)
	dst = binary.AppendUvarint(dst, f.Life)
	return AppendPrefixed(dst, f.Where[:min(len(f.Where), maxText)])
}

// DecodeTwin reads a TWIN frame.
func DecodeTwin(b []byte) (f Twin, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f = Twin{Store: r.Uvarint(), Life: r.Uvarint(), Where: r.Text(maxText)}
	return f, done(&r, KindTwin)
}
