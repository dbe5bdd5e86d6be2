package bridge

import (
	"encoding/binary"
	"errors"
)

// interestFrame carries changes of what the sender's side wants, or a part of all that it wants.
//
//	version  1
//	flags    bit 0 first part of a snapshot, bit 1 last part of a snapshot
//	count    uvarint
//	each     bits 0-1 QoS, bit 7 no longer wanted; filter: uvarint length, bytes
type interestFrame struct {
	first, last bool
	entries     []want
}

// want is one filter that a node is interested in, or no longer is.
type want struct {
	filter string
	qos    byte
	gone   bool
}

const (
	interestFirst = 1 << 0
	interestLast  = 1 << 1
	entryGone     = 1 << 7
)

func (f *interestFrame) append(dst []byte) []byte {
	flags := byte(0)
	if f.first {
		flags |= interestFirst
	}
	if f.last {
		flags |= interestLast
	}
	dst = append(dst, frameVersion, flags)
	dst = binary.AppendUvarint(dst, uint64(len(f.entries)))
	for _, w := range f.entries {
		op := w.qos
		if w.gone {
			op |= entryGone
		}
		dst = append(dst, op)
		dst = appendString(dst, w.filter)
	}
	return dst
}

func decodeInterest(b []byte) (f interestFrame, err error) {
	r := reader{b: b}
	r.version()
	flags := r.byte()
	f.first, f.last = flags&interestFirst != 0, flags&interestLast != 0
	for n := r.count(maxEntries); n > 0 && r.err == nil; n-- {
		op := r.byte()
		w := want{filter: r.string(maxFilter), qos: op & 3, gone: op&entryGone != 0}
		if r.err == nil && w.qos > 2 {
			r.fail(errors.New("QoS 3"))
		}
		f.entries = append(f.entries, w)
	}
	return f, r.done(kindInterest)
}
