package frame

import (
	"encoding/binary"
	"errors"

	"mangrove/internal/bytesread"
)

// EdgeAt is a control record: it travels in a peer's durable lane among the messages, so that it is neither lost nor
// overtakes them.
//
//	type    1, = 1
//	edge    uvarint length, bytes
//	store   uvarint
//	attach  uvarint, the edge's count of attachments
//	flags   1, bit 0: this answers another one, bit 1: the edge is connected to the sender
//	lives   uvarint count, 8 each: of the edge, the running one first
//
// It says: the edge is attached to the sender, and the sender's interest covers the edge's. A core that kept messages
// for that edge until now hands them over.
type EdgeAt struct {
	Edge   string
	Store  uint64
	Attach uint64
	Answer bool     // the receiver said that the edge is there; this is what the sender knows of it
	Live   bool     // in an answer: the edge is connected to the sender all the same
	Lives  []uint64 // as in Hello; nil = not known
}

const (
	controlEdgeAt = 1

	edgeAtAnswer = 1 << 0
	edgeAtLive   = 1 << 1
)

// ErrUnknownControl says that a control record is of a type that is not known here: it is to be skipped.
var ErrUnknownControl = errors.New("control record of an unknown type")

// Append writes the record behind dst.
func (c EdgeAt) Append(dst []byte) []byte {
	dst = append(dst, controlEdgeAt)
	dst = AppendPrefixed(dst, c.Edge)
	dst = binary.AppendUvarint(dst, c.Store)
	dst = binary.AppendUvarint(dst, c.Attach)
	flags := byte(0)
	if c.Answer {
		flags |= edgeAtAnswer
	}
	if c.Live {
		flags |= edgeAtLive
	}
	lives := c.Lives[:min(len(c.Lives), MaxLives)]
	return appendLives(append(dst, flags, byte(len(lives))), lives)
}

// DecodeEdgeAt reads a control record. The error is ErrUnknownControl when it is another one.
func DecodeEdgeAt(b []byte) (c EdgeAt, err error) {
	r := bytesread.New(b)
	if r.Uint8() != controlEdgeAt && r.Err() == nil {
		return c, ErrUnknownControl
	}
	c = EdgeAt{Edge: r.Text(MaxName), Store: r.Uvarint(), Attach: r.Uvarint()}
	if r.Len() > 0 { // not of the version before
		flags := r.Uint8()
		c.Answer, c.Live = flags&edgeAtAnswer != 0, flags&edgeAtLive != 0
		lives := bytesread.New(r.Bytes(8 * r.Count(MaxLives)))
		c.Lives = readLives(&lives, nil)
	}
	return c, done(&r, "control")
}
