package frame

import "mangrove/internal/bytesread"

// Move is how a core asks an edge to link to another core, and how the edge answers when it stays. An edge that goes says nothing
// here: it is heard of at the other core. Both ends of a link understand it when the edge's HELLO has FeatureSpread.
//
//	version  1
//	answer   1, a MoveAnswer
//	core     name, address: uvarint length, bytes
//	text     uvarint length, bytes
type Move struct {
	Answer MoveAnswer
	Name   string // of the core to link to
	Addr   string // of its listener for links; in an answer as it was asked
	Text   string // of an answer, for people: why it stays; cut at 256 bytes
}

// MoveAnswer is what an edge makes of being asked.
type MoveAnswer byte

// The answers. One that is not known is as MoveStays.
const (
	MoveAsked  MoveAnswer = 0 // no answer: a core asks
	MoveStays  MoveAnswer = 1 // it has not tried
	MoveFailed MoveAnswer = 2 // it has tried; the other core may have heard of it
)

// Append writes the frame behind dst.
func (f Move) Append(dst []byte) []byte {
	dst = append(dst, version, byte(f.Answer))
	dst = AppendPrefixed(dst, f.Name)
	dst = AppendPrefixed(dst, f.Addr)
	return AppendPrefixed(dst, f.Text[:min(len(f.Text), maxText)])
}

// DecodeMove reads a MOVE frame.
func DecodeMove(b []byte) (f Move, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f = Move{Answer: MoveAnswer(r.Uint8()), Name: r.Text(MaxName), Addr: r.Text(MaxName), Text: r.Text(maxText)}
	return f, done(&r, KindMove)
}
