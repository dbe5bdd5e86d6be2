package bridge

import (
	"encoding/binary"
	"time"
)

// ackFrame says that everything of a lane up to a position is on the sender's stable storage.
//
//	version   1
//	lane      1
//	position  uvarint
//	window    uvarint messages, uvarint bytes: how much may be on the way, unacknowledged
type ackFrame struct {
	lane        byte
	position    uint64
	window      int
	windowBytes int
}

func (f *ackFrame) append(dst []byte) []byte {
	dst = append(dst, frameVersion, f.lane)
	dst = binary.AppendUvarint(dst, f.position)
	dst = binary.AppendUvarint(dst, uint64(f.window))
	return binary.AppendUvarint(dst, uint64(f.windowBytes))
}

func decodeAck(b []byte) (f ackFrame, err error) {
	r := reader{b: b}
	r.version()
	f = ackFrame{lane: r.byte(), position: r.uvarint(), window: r.count(maxSize), windowBytes: r.count(maxSize)}
	return f, r.done(kindAck)
}

// goawayFrame is the last frame of a link.
//
//	version  1
//	code     1
//	retry    uvarint milliseconds: do not come back earlier
//	text     uvarint length, bytes
type goawayFrame struct {
	code  goaway
	retry time.Duration
	text  string
}

// goaway is why a link ends.
type goaway byte

const (
	goawayShutdown  goaway = 1 // the node stops
	goawayRefused   goaway = 2 // a message could not be kept: its queue or the disk is full
	goawayNameInUse goaway = 3 // another node of this name is connected
	goawayProtocol  goaway = 4 // a frame was wrong
	goawayReplaced  goaway = 5 // a newer connection of the same node
)

// maxRetry bounds what a neighbour can ask for.
const maxRetry = time.Hour

func (f *goawayFrame) append(dst []byte) []byte {
	dst = append(dst, frameVersion, byte(f.code))
	dst = binary.AppendUvarint(dst, uint64(f.retry.Milliseconds()))
	return appendString(dst, f.text[:min(len(f.text), maxText)])
}

func decodeGoaway(b []byte) (f goawayFrame, err error) {
	r := reader{b: b}
	r.version()
	f.code = goaway(r.byte())
	f.retry = min(time.Duration(min(r.uvarint(), 1<<32))*time.Millisecond, maxRetry)
	f.text = r.string(maxText)
	return f, r.done(kindGoaway)
}
