package mqtt

import (
	"encoding/binary"
	"time"
)

// LinkForm is how two nodes write messages to each other. In both forms the bytes are those at rest, but for this:
//
//	LinkForm1  no version; expires as the sender's wall clock has it
//	LinkForm2  bit 6 in place of bit 3: what is left until the message expires, uvarint milliseconds
//
// A link speaks LinkForm2 when both ends understand it: no clock of one node then decides what another one drops.
type LinkForm byte

const (
	LinkForm1 LinkForm = 1
	LinkForm2 LinkForm = 2
)

// maxLeft is the most that may be left, in milliseconds: what a Message Expiry Interval can say [MQTT-3.3.2-5].
const maxLeft = (1<<32 - 1) * 1000

// Recode adds to dst the bytes for a link of a message that is given by its bytes at rest. expires is its deadline as
// it is known at now; when the bytes have none it does not count. Bytes that are no message are added as they are.
func (f LinkForm) Recode(dst, rest []byte, expires, now time.Time) []byte {
	if len(rest) == 0 || rest[0]&(wireExpires|wireVersion) == 0 {
		return append(dst, rest...)
	}
	flags, at := rest[0], 1
	for range 2 { // the origin
		_, n := binary.Uvarint(rest[at:])
		at += max(n, 0)
	}
	start := len(dst)
	dst = append(dst, rest[:at]...)
	if flags&wireExpires != 0 {
		_, n := binary.Uvarint(rest[at:])
		at += max(n, 0)
		dst = f.appendDeadline(dst, start, expires, now)
	}
	if flags&wireVersion != 0 && f == LinkForm1 && len(rest) >= at+8 {
		at += 8
		dst[start] &^= wireVersion
	}
	return append(dst, rest[at:]...)
}

// appendDeadline adds the deadline of the message that begins at start.
func (f LinkForm) appendDeadline(dst []byte, start int, expires, now time.Time) []byte {
	left := max(expires.Sub(now).Milliseconds(), 0)
	if f == LinkForm1 {
		return binary.AppendUvarint(dst, uint64(max(now.UnixMilli()+left, 0)))
	}
	dst[start] = dst[start]&^wireExpires | wireLeft
	return binary.AppendUvarint(dst, uint64(left))
}

// DecodeLinkMessage reads one message of either form, which came over a link at now, and returns the bytes after it.
// Payload and properties alias b.
func DecodeLinkMessage(b []byte, now time.Time) (m *Message, rest []byte, err error) {
	return decodeMessage(b, now)
}
