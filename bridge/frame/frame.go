package frame

import (
	"encoding/binary"
	"errors"
	"fmt"

	"mangrove/internal/bytesread"
)

// The kinds of frame: the topic of the PUBLISH that carries one, after topic.LinkPrefix. A receiver skips a kind that
// it does not know, so that later versions may add some.
const (
	KindHello    = "hello"
	KindCores    = "cores"
	KindInterest = "interest"
	KindData     = "data"
	KindAck      = "ack"
	KindGoaway   = "goaway"
	KindRetained = "retained"
	KindFragment = "fragment"
	KindHeld     = "held"
	KindProbe    = "probe"
	KindTwin     = "twin"
	KindSummary  = "summary"
	KindRelay    = "relay"
	KindLoad     = "load"
	KindMove     = "move"
	KindKeep     = "keep"
	KindPresence = "presence"
)

// version is the first byte of every frame.
const version = 1

// Bounds on what a frame may hold. A frame beyond one of them cannot be decoded.
const (
	MaxName    = 1024    // bytes of a node name or an address
	MaxCores   = 1024    // cores in one CORES frame
	MaxEntries = 1024    // entries in one INTEREST frame
	MaxItems   = 256     // items in one DATA frame
	MaxSize    = 1 << 30 // bytes of one message, and of a window

	maxText   = 256     // bytes of a reason to say goodbye
	maxFilter = 1 << 16 // bytes of a filter, as MQTT's strings
)

// A lane is a sequence of messages of its own within a link.
const (
	LaneVolatile = 0 // QoS 0: in memory, sent once, not acknowledged
	LaneDurable  = 1 // QoS 1, QoS 2 and retained: on disk until acknowledged
)

// checkVersion reads the first byte of a frame.
func checkVersion(r *bytesread.Reader) {
	if v := r.Uint8(); v == 0 && r.Err() == nil {
		r.Fail(errors.New("frame version 0"))
	}
}

// done wraps what was wrong, if anything, with the kind of frame. Bytes that are left are of a later version.
func done(r *bytesread.Reader, kind string) error {
	if err := r.Err(); err != nil {
		return fmt.Errorf("decode %s frame: %w", kind, err)
	}
	return nil
}

// AppendPrefixed writes a length and the bytes of s.
func AppendPrefixed[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
