package frame

import (
	"encoding/binary"
	"time"

	"mangrove/internal/bytesread"
)

// Ack says that everything of a lane up to a position is on the sender's stable storage.
//
//	version   1
//	lane      1
//	position  uvarint
//	window    uvarint messages, uvarint bytes
//	came      uvarint milliseconds; left out = not told
type Ack struct {
	Lane        byte
	Position    uint64
	Window      int           // messages that may be on the way, unacknowledged
	WindowBytes int           // bytes of such messages
	Came        time.Duration // when the frame with that position came, by a clock of the link's own; 0 = not told
}

// Append writes the frame behind dst.
func (f Ack) Append(dst []byte) []byte {
	dst = append(dst, version, f.Lane)
	dst = binary.AppendUvarint(dst, f.Position)
	dst = binary.AppendUvarint(dst, uint64(f.Window))
	return appendCame(binary.AppendUvarint(dst, uint64(f.WindowBytes)), f.Came)
}

// DecodeAck reads an ACK frame.
func DecodeAck(b []byte) (f Ack, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f = Ack{Lane: r.Uint8(), Position: r.Uvarint(), Window: r.Count(MaxSize), WindowBytes: r.Count(MaxSize)}
	f.Came = readCame(&r)
	return f, done(&r, KindAck)
}

// appendCame writes when something came. A node of an earlier version skips it.
func appendCame(dst []byte, came time.Duration) []byte {
	if came < time.Millisecond {
		return dst
	}
	return binary.AppendUvarint(dst, uint64(came.Milliseconds()))
}

// readCame reads what appendCame wrote, if it did.
func readCame(r *bytesread.Reader) time.Duration {
	if r.Err() != nil || r.Len() == 0 {
		return 0
	}
	return time.Duration(min(r.Uvarint(), maxCame)) * time.Millisecond
}

// maxCame is the most milliseconds that are believed: 35 years, so that sums of times do not run over.
const maxCame = 1 << 40
