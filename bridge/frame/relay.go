package frame

import (
	"encoding/binary"

	"mangrove/internal/bytesread"
)

// Relay carries the frames of a link between two cores that have no line to each other. A third core, which is linked to both,
// passes it on as it is. It is sent only to who understands FeatureRelay.
//
//	version  1
//	op       1
//	circuit  uvarint: names that link, a random number of who opened it
//	open     to, from: uvarint length, bytes each
//	carry    kind, body of a frame: uvarint length, bytes each
//	got      uvarint
//	close    uvarint length, bytes: why, for people
type Relay struct {
	Op       RelayOp
	Circuit  uint64
	To, From string // RelayOpen: names of cores
	Kind     string // RelayCarry
	Body     []byte // RelayCarry: it aliases what was decoded
	Got      uint64 // RelayGot: how many bytes of bodies have come so far
	Text     string // RelayClose; cut at 256 bytes
}

// RelayOp is what a RELAY frame is about. One that is not known is passed on, and skipped at its end.
type RelayOp byte

// The ops.
const (
	RelayOpen  RelayOp = 1
	RelayCarry RelayOp = 2
	RelayGot   RelayOp = 3
	RelayClose RelayOp = 4
)

// Append writes the frame behind dst.
func (f Relay) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, version, byte(f.Op)), f.Circuit)
	switch f.Op {
	case RelayOpen:
		return AppendPrefixed(AppendPrefixed(dst, f.To), f.From)
	case RelayCarry:
		return AppendPrefixed(AppendPrefixed(dst, f.Kind), f.Body)
	case RelayGot:
		return binary.AppendUvarint(dst, f.Got)
	case RelayClose:
		return AppendPrefixed(dst, f.Text[:min(len(f.Text), maxText)])
	}
	return dst
}

// DecodeRelay reads a RELAY frame.
func DecodeRelay(b []byte) (f Relay, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f.Op, f.Circuit = RelayOp(r.Uint8()), r.Uvarint()
	switch f.Op {
	case RelayOpen:
		f.To, f.From = r.Text(MaxName), r.Text(MaxName)
	case RelayCarry:
		f.Kind, f.Body = r.Text(maxText), r.Prefixed(r.Len())
	case RelayGot:
		f.Got = r.Uvarint()
	case RelayClose:
		f.Text = r.Text(maxText)
	}
	return f, done(&r, KindRelay)
}
