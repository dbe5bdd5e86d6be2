package frame

import (
	"encoding/binary"

	"mangrove/internal/bytesread"
)

// Presence is which edges are connected to the sender, a core: all of them first, then changes. It is sent only to who
// understands FeaturePresence.
//
//	version  1
//	flags    bit 0 what was said on links before is void
//	count    uvarint, at most MaxPresence
//	[state 1, name as text] for each
type Presence struct {
	First bool
	Edges []EdgeState
}

// EdgeState is what a core says of one edge.
type EdgeState struct {
	Edge  string
	State byte // EdgeAway, EdgeThere, EdgeForgotten; others are of a later version
}

// The states of an edge as one core knows it.
const (
	EdgeAway      byte = 0 // it has no link to the sender
	EdgeThere     byte = 1
	EdgeForgotten byte = 2 // and is not expected any more
)

// MaxPresence bounds the edges in a frame.
const MaxPresence = 256

const presenceFirst = 1 << 0

// Append writes the frame behind dst.
func (f Presence) Append(dst []byte) []byte {
	flags := byte(0)
	if f.First {
		flags |= presenceFirst
	}
	dst = append(dst, version, flags)
	dst = binary.AppendUvarint(dst, uint64(len(f.Edges)))
	for _, e := range f.Edges {
		dst = AppendPrefixed(append(dst, e.State), e.Edge)
	}
	return dst
}

// DecodePresence reads a PRESENCE frame.
func DecodePresence(b []byte) (f Presence, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f.First = r.Uint8()&presenceFirst != 0
	for n := r.Count(MaxPresence); n > 0 && r.Err() == nil; n-- {
		e := EdgeState{State: r.Uint8()}
		e.Edge = r.Text(MaxName)
		f.Edges = append(f.Edges, e)
	}
	return f, done(&r, KindPresence)
}
