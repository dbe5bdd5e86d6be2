package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"mangrove/bridge/reconcile"
	"mangrove/internal/bytesread"
)

// Retained is one turn of a conversation about retained messages (package reconcile). It is sent only to who understands
// FeatureReconcile.
//
//	version  1
//	flags    bit 0 first turn of a conversation, bit 1 asks the other side to begin one, bit 2 no turn: tells the clock
//	clock    uvarint, Unix milliseconds: the time of the fleet as the sender knows it
//	parts    uvarint count, each: kind 1, then
//	         Sum    range, uvarint count, sum 8
//	         Whole  range, items
//	         Some   items
//	         Want   uvarint count, keys 8 each
//	range    prefix 8, bits 1
//	items    uvarint count, each: key 8, stamp 8, tie 4, flags 1 (bit 0 a clearing, bit 1 published at the sender)
type Retained struct {
	First, Ask bool
	Tell       bool // it is no turn: the sender's clock was set
	Clock      int64
	Parts      []reconcile.Part
}

const (
	retainedFirst = 1 << 0
	retainedAsk   = 1 << 1
	retainedTell  = 1 << 2

	itemGone = 1 << 0
	itemMine = 1 << 1
)

// Bounds on what one frame of a conversation holds.
const (
	maxParts      = 4096
	maxPartItems  = 4096
	retainedBytes = 21 // of an item
)

// Append writes the frame behind dst.
func (f Retained) Append(dst []byte) []byte {
	flags := byte(0)
	if f.First {
		flags |= retainedFirst
	}
	if f.Ask {
		flags |= retainedAsk
	}
	if f.Tell {
		flags |= retainedTell
	}
	dst = append(dst, version, flags)
	dst = binary.AppendUvarint(dst, uint64(max(f.Clock, 0)))
	dst = binary.AppendUvarint(dst, uint64(len(f.Parts)))
	for i := range f.Parts {
		dst = appendPart(dst, &f.Parts[i])
	}
	return dst
}

func appendPart(dst []byte, p *reconcile.Part) []byte {
	dst = append(dst, byte(p.Kind))
	if p.Kind == reconcile.Sum || p.Kind == reconcile.Whole {
		dst = binary.BigEndian.AppendUint64(dst, p.Range.Prefix)
		dst = append(dst, p.Range.Bits)
	}
	switch p.Kind {
	case reconcile.Sum:
		dst = binary.AppendUvarint(dst, p.Count)
		return binary.BigEndian.AppendUint64(dst, p.Sum)
	case reconcile.Want:
		dst = binary.AppendUvarint(dst, uint64(len(p.Keys)))
		for _, key := range p.Keys {
			dst = binary.BigEndian.AppendUint64(dst, key)
		}
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Items)))
	for i := range p.Items {
		it, flags := &p.Items[i], byte(0)
		if it.Gone {
			flags |= itemGone
		}
		if it.Mine {
			flags |= itemMine
		}
		dst = binary.BigEndian.AppendUint64(dst, it.Key)
		dst = binary.BigEndian.AppendUint64(dst, it.Stamp)
		dst = binary.BigEndian.AppendUint32(dst, it.Tie)
		dst = append(dst, flags)
	}
	return dst
}

// DecodeRetained reads a RETAINED frame. Of a part of a kind that is not known nothing is known, so it cannot be decoded.
func DecodeRetained(b []byte) (f Retained, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	flags := r.Uint8()
	f.First, f.Ask, f.Tell = flags&retainedFirst != 0, flags&retainedAsk != 0, flags&retainedTell != 0
	f.Clock = int64(min(r.Uvarint(), math.MaxInt64))
	for n := r.Count(maxParts); n > 0 && r.Err() == nil; n-- {
		f.Parts = append(f.Parts, readPart(&r))
	}
	return f, done(&r, KindRetained)
}

var errRange = errors.New("range is not valid")

func readPart(r *bytesread.Reader) (p reconcile.Part) {
	p.Kind = reconcile.Kind(r.Uint8())
	if p.Kind == reconcile.Sum || p.Kind == reconcile.Whole {
		p.Range = reconcile.Range{Prefix: r.Uint64(), Bits: r.Uint8()}
		if !p.Range.Valid() {
			r.Fail(errRange)
		}
	}
	switch p.Kind {
	case reconcile.Sum:
		p.Count, p.Sum = r.Uvarint(), r.Uint64()
	case reconcile.Whole, reconcile.Some:
		n := r.Count(min(maxPartItems, r.Len()/retainedBytes+1))
		p.Items = make([]reconcile.Item, 0, min(n, r.Len()/retainedBytes))
		for ; n > 0 && r.Err() == nil; n-- {
			it := reconcile.Item{Key: r.Uint64(), Stamp: r.Uint64(), Tie: r.Uint32()}
			flags := r.Uint8()
			it.Gone, it.Mine = flags&itemGone != 0, flags&itemMine != 0
			p.Items = append(p.Items, it)
		}
	case reconcile.Want:
		for n := r.Count(maxPartItems); n > 0 && r.Err() == nil; n-- {
			p.Keys = append(p.Keys, r.Uint64())
		}
	default:
		r.Fail(fmt.Errorf("part of kind %d", p.Kind))
	}
	return p
}
