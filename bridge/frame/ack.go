package frame

import (
	"encoding/binary"

	"mangrove/internal/bytesread"
)

// Ack says that everything of a lane up to a position is on the sender's stable storage.
//
//	version   1
//	lane      1
//	position  uvarint
//	window    uvarint messages, uvarint bytes
type Ack struct {
	Lane        byte
	Position    uint64
	Window      int // messages that may be on the way, unacknowledged
	WindowBytes int // bytes of such messages
}

// Append writes the frame behind dst.
func (f Ack) Append(dst []byte) []byte {
	dst = append(dst, version, f.Lane)
	dst = binary.AppendUvarint(dst, f.Position)
	dst = binary.AppendUvarint(dst, uint64(f.Window))
	return binary.AppendUvarint(dst, uint64(f.WindowBytes))
}

// DecodeAck reads an ACK frame.
func DecodeAck(b []byte) (f Ack, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f = Ack{Lane: r.Uint8(), Position: r.Uvarint(), Window: r.Count(MaxSize), WindowBytes: r.Count(MaxSize)}
	return f, done(&r, KindAck)
}
