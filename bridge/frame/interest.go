package frame

import (
	"encoding/binary"
	"errors"

	"mangrove/internal/bytesread"
)

// Interest carries changes of what the sender's side wants, or a part of all that it wants.
//
//	version  1
//	flags    bit 0 first part of a snapshot, bit 1 last part of a snapshot
//	count    uvarint
//	each     bits 0-1 QoS, bit 7 no longer wanted; filter: uvarint length, bytes
type Interest struct {
	First, Last bool
	Entries     []Want // at most MaxEntries
}

// Want is one filter that a node is interested in, or no longer is.
type Want struct {
	Filter string
	QoS    byte
	Gone   bool
}

const (
	interestFirst = 1 << 0
	interestLast  = 1 << 1
	entryGone     = 1 << 7
)

// Append writes the frame behind dst.
func (f Interest) Append(dst []byte) []byte {
	flags := byte(0)
	if f.First {
		flags |= interestFirst
	}
	if f.Last {
		flags |= interestLast
	}
	dst = append(dst, version, flags)
	dst = binary.AppendUvarint(dst, uint64(len(f.Entries)))
	for _, w := range f.Entries {
		op := w.QoS
		if w.Gone {
			op |= entryGone
		}
		dst = append(dst, op)
		dst = AppendPrefixed(dst, w.Filter)
	}
	return dst
}

// DecodeInterest reads an INTEREST frame. It does not check that filters are such.
func DecodeInterest(b []byte) (f Interest, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	flags := r.Uint8()
	f.First, f.Last = flags&interestFirst != 0, flags&interestLast != 0
	for n := r.Count(MaxEntries); n > 0 && r.Err() == nil; n-- {
		op := r.Uint8()
		w := Want{Filter: r.Text(maxFilter), QoS: op & 3, Gone: op&entryGone != 0}
		if r.Err() == nil && w.QoS > 2 {
			r.Fail(errors.New("QoS 3"))
		}
		f.Entries = append(f.Entries, w)
	}
	return f, done(&r, KindInterest)
}
