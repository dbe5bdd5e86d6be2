package frame

import (
	"encoding/binary"
	"errors"

	"mangrove/internal/bytesread"
)

// Hello is the first frame of each side: the dialler's first, then the other's.
//
//	version  1
//	fields   repeated: uvarint tag, uvarint length, bytes; a tag that is not known is skipped
type Hello struct {
	Name   string
	Store  uint64 // the node's store id
	Role   Role
	Attach uint64     // of an edge: rises with each attempt to attach to a core
	Last   Attachment // of an edge: where it was attached before
	Lives  []uint64   // the sender's lives that it knows, at most MaxLives, the running one first; nil = it knows no lives
	Counts uint64     // to an edge: the attach number that this attachment counts as, when not the one it said; 0 = as it said
	Held   Digest     // the interest of the receiver that the sender holds, so that it need not be told again

	Window      int  // messages of the durable lane that the sender takes before it acknowledges
	WindowBytes int  // bytes of such messages
	MaxBytes    int  // bytes of the messages in one frame that the sender takes
	Hold        bool // nothing of the durable lane is to be sent before an ACK comes

	Part    Held // the frame of the durable lane that has come in part, so that the rest will do; Name 0 = there is none
	MaxPart int  // bytes of the largest frame that the sender takes in fragments

	Features Features // what the sender understands
	Clock    uint64   // the time of the fleet as the sender knows it, in Unix milliseconds; 0 = it does not tell
}

// Features is a set of what a node understands beyond the first version of links. A bit that is not known is ignored; what
// one side does not understand is not sent to it.
type Features uint64

const (
	FeatureFragments Features = 1 << 0 // FRAGMENT and HELD frames
	FeatureLinkForm2 Features = 1 << 1 // messages as mqtt.LinkForm2
	FeatureReconcile Features = 1 << 2 // RETAINED frames, and healed messages
	FeatureSummary   Features = 1 << 3 // SUMMARY frames; and it holds the interest that its HELLO says
	FeatureRelay     Features = 1 << 4 // RELAY frames, at their end and between
	FeatureSpread    Features = 1 << 5 // an edge: MOVE frames; a core: LOAD frames
	FeaturePresence  Features = 1 << 6 // a core: PRESENCE frames
)

// Has reports whether all of those are in the set.
func (f Features) Has(those Features) bool { return f&those == those }

// Role is what a node is among the others.
type Role byte

// The roles. A HELLO of another one is refused.
const (
	RoleEdge Role = 1
	RoleCore Role = 2
)

// Attachment is one stay of an edge at a core.
type Attachment struct{ Store, Attach uint64 }

const (
	tagName        = 1
	tagStore       = 2
	tagRole        = 3
	tagAttach      = 4
	tagHeldCount   = 5
	tagHeldSum     = 6
	tagWindow      = 7
	tagWindowBytes = 8
	tagMaxBytes    = 9
	tagLastStore   = 10
	tagLastAttach  = 11
	tagFeatures    = 12
	tagLife        = 13
	tagEarlier     = 14 // 8 bytes each
	tagCounts      = 15
	tagHold        = 18
	tagClock       = 21
	tagPart        = 24
	tagPartHeld    = 25
	tagMaxPart     = 26
)

// Append writes the frame behind dst.
func (h Hello) Append(dst []byte) []byte {
	dst = append(dst, version)
	dst = binary.AppendUvarint(dst, tagName)
	dst = AppendPrefixed(dst, h.Name)
	for _, f := range []struct{ tag, value uint64 }{
		{tagStore, h.Store},
		{tagRole, uint64(h.Role)},
		{tagAttach, h.Attach},
		{tagHeldCount, h.Held.Count},
		{tagHeldSum, h.Held.Sum},
		{tagWindow, uint64(h.Window)},
		{tagWindowBytes, uint64(h.WindowBytes)},
		{tagMaxBytes, uint64(h.MaxBytes)},
		{tagLastStore, h.Last.Store},
		{tagLastAttach, h.Last.Attach},
		{tagFeatures, uint64(h.Features)},
		{tagClock, h.Clock},
	} {
		dst = binary.AppendUvarint(dst, f.tag)
		value := binary.AppendUvarint(nil, f.value)
		dst = AppendPrefixed(dst, value)
	}
	if h.Hold {
		dst = binary.AppendUvarint(dst, tagHold)
		dst = AppendPrefixed(dst, []byte{1})
	}
	return h.appendPart(h.appendLives(dst))
}

// appendLives writes fields that the version before does not know.
func (h Hello) appendLives(dst []byte) []byte {
	if len(h.Lives) > 0 {
		dst = binary.AppendUvarint(dst, tagLife)
		dst = AppendPrefixed(dst, binary.AppendUvarint(nil, h.Lives[0]))
		dst = binary.AppendUvarint(dst, tagEarlier)
		dst = AppendPrefixed(dst, appendLives(nil, h.Lives[1:min(len(h.Lives), MaxLives)]))
	}
	if h.Counts != 0 {
		dst = binary.AppendUvarint(dst, tagCounts)
		dst = AppendPrefixed(dst, binary.AppendUvarint(nil, h.Counts))
	}
	return dst
}

// appendPart writes what is to be known for fragments.
func (h Hello) appendPart(dst []byte) []byte {
	for _, f := range []struct{ tag, value uint64 }{
		{tagPart, h.Part.Name}, {tagPartHeld, uint64(h.Part.Bytes)}, {tagMaxPart, uint64(h.MaxPart)},
	} {
		if f.value != 0 {
			dst = binary.AppendUvarint(dst, f.tag)
			dst = AppendPrefixed(dst, binary.AppendUvarint(nil, f.value))
		}
	}
	return dst
}

// DecodeHello reads a HELLO frame and checks that the fields without which there is no link are there.
func DecodeHello(b []byte) (h Hello, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	for r.Len() > 0 {
		tag := r.Uvarint()
		field := bytesread.New(r.Prefixed(r.Len()))
		h.field(tag, &field)
		if field.Err() != nil {
			r.Fail(field.Err())
		}
	}
	if r.Err() == nil {
		if err := h.check(); err != nil {
			r.Fail(err)
		}
	}
	return h, done(&r, KindHello)
}

func (h *Hello) field(tag uint64, r *bytesread.Reader) {
	switch tag {
	case tagName:
		if r.Len() > MaxName {
			r.Fail(errors.New("name is too long"))
		}
		h.Name = string(r.Rest())
	case tagStore:
		h.Store = r.Uvarint()
	case tagRole:
		h.Role = Role(min(r.Uvarint(), 0xFF))
	case tagAttach:
		h.Attach = r.Uvarint()
	case tagHeldCount:
		h.Held.Count = r.Uvarint()
	case tagHeldSum:
		h.Held.Sum = r.Uvarint()
	case tagWindow:
		h.Window = r.Count(MaxSize)
	case tagWindowBytes:
		h.WindowBytes = r.Count(MaxSize)
	case tagMaxBytes:
		h.MaxBytes = r.Count(MaxSize)
	case tagLastStore:
		h.Last.Store = r.Uvarint()
	case tagLastAttach:
		h.Last.Attach = r.Uvarint()
	case tagLife:
		h.Lives = append([]uint64{r.Uvarint()}, h.Lives[:min(len(h.Lives), MaxLives-1)]...)
	case tagEarlier:
		h.Lives = readLives(r, h.Lives)
	case tagCounts:
		h.Counts = r.Uvarint()
	case tagFeatures:
		h.Features = Features(r.Uvarint())
	case tagPart:
		h.Part.Name = r.Uvarint()
	case tagPartHeld:
		h.Part.Bytes = r.Count(MaxSize)
	case tagMaxPart:
		h.MaxPart = r.Count(MaxSize)
	case tagHold:
		h.Hold = r.Uvarint() != 0
	case tagClock:
		h.Clock = r.Uvarint()
	}
}

func (h *Hello) check() error {
	switch {
	case h.Name == "":
		return errors.New("no name")
	case h.Store == 0:
		return errors.New("no store id")
	case h.Role != RoleEdge && h.Role != RoleCore:
		return errors.New("no role that is known")
	case h.Window == 0 || h.WindowBytes == 0 || h.MaxBytes == 0:
		return errors.New("no room for messages")
	}
	return nil
}
