package frame

import (
	"encoding/binary"

	"mangrove/internal/bytesread"
)

// Keep is what a core that is about to stop says to its peers: of the filters that it has told, those that are wanted by its own
// clients whose sessions outlast the stop. All others are its edges', which go elsewhere, or nobody's any more.
//
//	version  1
//	flags    bit 0 last part
//	count    uvarint
//	each     filter: uvarint length, bytes
type Keep struct {
	Last    bool
	Filters []string // at most MaxEntries
}

const keepLast = 1 << 0

// Append writes the frame behind dst.
func (f Keep) Append(dst []byte) []byte {
	flags := byte(0)
	if f.Last {
		flags |= keepLast
	}
	dst = append(dst, version, flags)
	dst = binary.AppendUvarint(dst, uint64(len(f.Filters)))
	for _, filter := range f.Filters {
		dst = AppendPrefixed(dst, filter)
	}
	return dst
}

// DecodeKeep reads a KEEP frame. It does not check that filters are such.
func DecodeKeep(b []byte) (f Keep, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f.Last = r.Uint8()&keepLast != 0
	for n := r.Count(MaxEntries); n > 0 && r.Err() == nil; n-- {
		f.Filters = append(f.Filters, r.Text(maxFilter))
	}
	return f, done(&r, KindKeep)
}
