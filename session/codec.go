package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/bytesread"
	"mangrove/mqtt"
)

// recordVersion begins each value. A record of a newer version is refused, not guessed at. Messages that came through a
// shared subscription have groupVersion, so that the others can be read by versions that know of none.
const (
	recordVersion = 1
	groupVersion  = 2
)

var errRecord = errors.New("bytes end early or are not of this record")

// Keys. Numbers are big-endian, so that ranges are in order:
//
//	Sessions       client id
//	Subscriptions  session number 8, filter
//	Queues         session number 8, seq 8
//	Received       session number 8, packet id 2; id 0 is no packet's: see appendSent
func numberKey(number uint64, more int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8+more), number)
}

func filterKey(number uint64, filter string) []byte {
	return append(numberKey(number, len(filter)), filter...)
}

func appendQueueKey(b []byte, number, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, number), seq)
}

func queueKey(number, seq uint64) []byte { return appendQueueKey(make([]byte, 0, 16), number, seq) }

func receivedKey(number uint64, id uint16) []byte {
	return binary.BigEndian.AppendUint16(numberKey(number, 2), id)
}

// splitKey takes the session number off a key.
func splitKey(k []byte) (number uint64, rest []byte, err error) {
	if len(k) < 8 {
		return 0, nil, fmt.Errorf("decode key: %w", errRecord)
	}
	return binary.BigEndian.Uint64(k), k[8:], nil
}

// record is a session as it stands in the Sessions table:
//
//	version   1
//	flags     1  bit 0 connected, bit 1 will
//	number    uvarint  0 = the record is there for the will alone, see keptwill.go
//	expiry    varint   milliseconds; < 0 = never
//	detached  varint   in stored time, see due.Clock; 0 while connected
//	sent      uvarint  messages below it may have been sent
//	maybe     uvarint  messages below it may not, see outbound.maybeSent
//	[will     varint delay, varint expiry (milliseconds), message as mqtt.AppendMessage]
type record struct {
	number    uint64
	connected bool
	expiry    time.Duration
	detached  int64
	sent      uint64
	maybeSent uint64
	will      *will
}

const (
	recordConnected = 1 << 0
	recordWill      = 1 << 1
)

// usualRecord is the bytes of a record without a will, at most as a rule.
const usualRecord = 24

func (r *record) append(b []byte) []byte {
	var flags byte
	if r.connected {
		flags |= recordConnected
	}
	if r.will != nil {
		flags |= recordWill
	}
	b = append(slices.Grow(b, usualRecord), recordVersion, flags)
	b = binary.AppendUvarint(b, r.number)
	b = binary.AppendVarint(b, millis(r.expiry))
	b = binary.AppendVarint(b, r.detached)
	b = binary.AppendUvarint(b, r.sent)
	b = binary.AppendUvarint(b, r.maybeSent)
	if w := r.will; w != nil {
		b = binary.AppendVarint(b, millis(w.delay))
		b = binary.AppendVarint(b, millis(w.expiry))
		b = mqtt.AppendMessage(b, w.msg)
	}
	return b
}

func decodeRecord(b []byte) (r record, err error) {
	c, flags := openRecord(b)
	r.connected = flags&recordConnected != 0
	r.number = c.Uvarint()
	r.expiry = c.duration()
	r.detached = c.Varint()
	r.sent = c.Uvarint()
	r.maybeSent = c.Uvarint()
	if flags&recordWill != 0 {
		w := &will{delay: c.duration(), expiry: c.duration()}
		if c.Err() == nil {
			w.msg = c.message()
		}
		r.will = w
	}
	return r, c.end("session")
}

// queueRecord is a message in the Queues table:
//
//	body     8  id in the body store, put there by store.PutRef; 0 once released
//	version  1  2 with a group, else 1
//	flags    1  bit 0-1 QoS, bit 2 retain, bit 3 released, bit 4 expires, bit 5 identifiers, bit 6 group, bit 7 keeps
//	size     uvarint  bytes it counts
//	[expires varint   in stored time]
//	[identifiers  uvarint count, uvarint each]
//	[group   uvarint length, full filter of the shared subscription]
type queueRecord struct {
	qos      byte
	retain   bool
	released bool
	keeps    bool // see overflow.Rules.Keeps
	body     uint64
	size     int32
	expires  int64 // 0 = never
	ids      []uint32
	group    string
}

const (
	queuedRetain   = 1 << 2
	queuedReleased = 1 << 3
	queuedExpires  = 1 << 4
	queuedIDs      = 1 << 5
	queuedGroup    = 1 << 6
	queuedKeeps    = 1 << 7
)

// maxSubscriptionIDs bounds what decodeQueueRecord allocates for; a message has one for each matching
// subscription of one session.
const maxSubscriptionIDs = 1 << 20

// maxFilter bounds a filter in a record, as MQTT bounds its strings.
const maxFilter = math.MaxUint16

// append adds what follows body.
func (q *queueRecord) append(b []byte) []byte {
	flags := q.qos
	if q.retain {
		flags |= queuedRetain
	}
	if q.released {
		flags |= queuedReleased
	}
	if q.keeps {
		flags |= queuedKeeps
	}
	if q.expires != 0 {
		flags |= queuedExpires
	}
	if len(q.ids) > 0 {
		flags |= queuedIDs
	}
	version := byte(recordVersion)
	if q.group != "" {
		version, flags = groupVersion, flags|queuedGroup
	}
	b = append(b, version, flags)
	b = binary.AppendUvarint(b, uint64(q.size))
	if q.expires != 0 {
		b = binary.AppendVarint(b, q.expires)
	}
	if len(q.ids) > 0 {
		b = binary.AppendUvarint(b, uint64(len(q.ids)))
	}
	for _, id := range q.ids {
		b = binary.AppendUvarint(b, uint64(id))
	}
	if q.group != "" {
		b = append(binary.AppendUvarint(b, uint64(len(q.group))), q.group...)
	}
	return b
}

func decodeQueueRecord(b []byte) (q queueRecord, err error) {
	body, b, ok := batch.RefID(b)
	if !ok {
		return q, fmt.Errorf("decode queued message: %w", errRecord)
	}
	c, flags := openVersion(b, groupVersion)
	q.body = body
	q.qos = flags & 3
	q.retain = flags&queuedRetain != 0
	q.released = flags&queuedReleased != 0
	q.keeps = flags&queuedKeeps != 0
	q.size = int32(c.Uvarint())
	if flags&queuedExpires != 0 {
		q.expires = c.Varint()
	}
	if flags&queuedIDs != 0 {
		q.ids = c.ids()
	}
	if flags&queuedGroup != 0 {
		q.group = c.Text(maxFilter)
	}
	return q, c.end("queued message")
}

// appendSent is what stays known of an ended session until its messages have been dealt with: outbound.sent.
func appendSent(b []byte, sent uint64) []byte {
	return binary.AppendUvarint(append(b, recordVersion, 0), sent)
}

func decodeSent(b []byte) (sent uint64, err error) {
	c, _ := openRecord(b)
	sent = c.Uvarint()
	return sent, c.end("ended session")
}

// appendSubscription: version, options as in SUBSCRIBE (bit 0-1 QoS, 2 No Local, 3 Retain As Published,
// 4-5 Retain Handling), identifier uvarint.
func appendSubscription(b []byte, sub mqtt.Subscription) []byte {
	options := sub.QoS | sub.RetainHandling<<4
	if sub.NoLocal {
		options |= 1 << 2
	}
	if sub.RetainAsPublished {
		options |= 1 << 3
	}
	return binary.AppendUvarint(append(b, recordVersion, options), uint64(sub.ID))
}

func decodeSubscription(filter string, b []byte) (mqtt.Subscription, error) {
	c, options := openRecord(b)
	sub := mqtt.Subscription{Filter: filter, QoS: options & 3, NoLocal: options&(1<<2) != 0,
		RetainAsPublished: options&(1<<3) != 0, RetainHandling: options >> 4 & 3, ID: uint32(c.Uvarint())}
	return sub, c.end("subscription")
}

func millis(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Milliseconds()
}

// cursor reads the fields of a record: those of a bytesread.Reader, and some of sessions alone.
type cursor struct{ bytesread.Reader }

// openRecord checks the version and returns the flags.
func openRecord(b []byte) (c cursor, flags byte) { return openVersion(b, recordVersion) }

// openVersion is openRecord for a kind of record that has had several versions.
func openVersion(b []byte, newest byte) (c cursor, flags byte) {
	c = cursor{bytesread.New(b)}
	if v := c.Uint8(); c.Err() == nil && (v == 0 || v > newest) {
		c.Fail(fmt.Errorf("version %d, known are 1 to %d", v, newest))
	}
	flags = c.Uint8()
	return c, flags
}

// duration is of milliseconds; < 0 = for ever.
func (c *cursor) duration() time.Duration {
	switch ms := c.Varint(); {
	case ms < 0:
		return -1
	case ms > int64(math.MaxInt64/time.Millisecond):
		c.Fail(errRecord) // nobody wrote that
		return 0
	default:
		return time.Duration(ms) * time.Millisecond
	}
}

// message copies: the bytes belong to the store, and a message keeps parts of what it is decoded from.
func (c *cursor) message() *mqtt.Message {
	m, rest, err := mqtt.DecodeMessage(bytes.Clone(c.Rest()))
	if err != nil {
		c.Fail(err)
	}
	c.Resume(rest)
	return m
}

func (c *cursor) ids() []uint32 {
	n := c.Count(maxSubscriptionIDs)
	if n > c.Len() { // each takes a byte at least
		c.Fail(bytesread.ErrShort)
		return nil
	}
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(c.Uvarint())
	}
	return ids
}

// end tells what is wrong with the record, bytes after its end included.
func (c *cursor) end(what string) error {
	if err := c.Done(); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	return nil
}
