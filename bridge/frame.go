package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The kinds of frame: the topic of the PUBLISH that carries one, after mqtt.LinkPrefix. A kind that
// is not known is skipped, so that later versions may add some.
const (
	kindHello    = "hello"
	kindCores    = "cores"
	kindInterest = "interest"
	kindData     = "data"
	kindAck      = "ack"
	kindGoaway   = "goaway"
)

// Every frame starts with its version. A later version may add bytes at the end of a frame; they are
// skipped. What it may not do is change those that are here: that is another protocol range in CONNECT.
const frameVersion = 1

// Bounds on what a frame may hold. A frame beyond one of them is refused and its link closed.
const (
	maxName     = 1024    // node names and addresses
	maxText     = 256     // reasons to say goodbye
	maxFilter   = 1 << 16 // as MQTT's strings
	maxCores    = 1024
	maxEntries  = 1024 // interest entries in one frame
	maxItems    = 256  // messages in one DATA frame
	maxItemByte = 64   // what an item needs beyond its message
	maxSize     = 1 << 30
)

// A lane is a sequence of messages of its own within a link.
const (
	laneVolatile = 0 // QoS 0: in memory, sent once, not acknowledged
	laneDurable  = 1 // QoS 1, QoS 2 and retained: on disk until acknowledged
)

var errShort = errors.New("bytes end early")

// reader takes a frame apart and remembers the first thing that was wrong.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail(errShort)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of things that is at most limit.
func (r *reader) count(limit int) int {
	n := r.uvarint()
	if n > uint64(limit) {
		r.fail(fmt.Errorf("%d is above the bound of %d", n, limit))
		return 0
	}
	return int(n)
}

// bytes reads a length and that many bytes, which alias the frame.
func (r *reader) bytes(limit int) []byte {
	n := r.count(limit)
	if n > len(r.b) {
		r.fail(errShort)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) string(limit int) string { return string(r.bytes(limit)) }

// version reads the first byte of a frame.
func (r *reader) version() {
	if v := r.byte(); v == 0 && r.err == nil {
		r.fail(errors.New("frame version 0"))
	}
}

// done wraps what was wrong, if anything, with the kind of frame.
func (r *reader) done(kind string) error {
	if r.err == nil {
		return nil
	}
	return fmt.Errorf("decode %s frame: %w", kind, r.err)
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
