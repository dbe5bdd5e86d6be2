package frame

import (
	"encoding/binary"
	"time"

	"mangrove/internal/bytesread"
)

// Goaway is the last frame of a link.
//
//	version  1
//	code     1
//	retry    uvarint milliseconds: do not come back earlier
//	text     uvarint length, bytes
type Goaway struct {
	Code  GoawayCode
	Retry time.Duration // at most an hour
	Text  string        // for people; cut at 256 bytes
}

// GoawayCode is why a link ends.
type GoawayCode byte

// The reasons. One that is not known is as good as any: the link ends.
const (
	GoawayShutdown  GoawayCode = 1 // the node stops
	GoawayRefused   GoawayCode = 2 // a message could not be kept: its queue or the disk is full
	GoawayNameInUse GoawayCode = 3 // another node of this name is connected
	GoawayProtocol  GoawayCode = 4 // a frame was wrong
	GoawayReplaced  GoawayCode = 5 // a newer connection of the same node
	GoawayWait      GoawayCode = 6 // another connection under the node's name is asked for a sign of life
)

// maxRetry bounds what a neighbour can ask for.
const maxRetry = time.Hour

// Append writes the frame behind dst.
func (f Goaway) Append(dst []byte) []byte {
	dst = append(dst, version, byte(f.Code))
	dst = binary.AppendUvarint(dst, uint64(f.Retry.Milliseconds()))
	return AppendPrefixed(dst, f.Text[:min(len(f.Text), maxText)])
}

// DecodeGoaway reads a GOAWAY frame.
func DecodeGoaway(b []byte) (f Goaway, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f.Code = GoawayCode(r.Uint8())
	f.Retry = min(time.Duration(min(r.Uvarint(), 1<<32))*time.Millisecond, maxRetry)
	f.Text = r.Text(maxText)
	return f, done(&r, KindGoaway)
}
