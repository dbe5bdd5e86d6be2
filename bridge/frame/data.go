package frame

import (
	"encoding/binary"
	"errors"

	"mangrove/internal/bytesread"
)

// Data carries messages of one lane in the order of their positions.
//
//	version   1
//	flags     bit 0 items are compressed (zstd)
//	lane      1
//	for       uvarint length, bytes: the edge these messages are for, when they were kept for it elsewhere
//	first     uvarint, position of the first item
//	count     uvarint
//	size      uvarint, bytes of the items before compression
//	items     each: uvarint position minus the one before, kind byte, uvarint length, bytes
//
// A sender writes the items one by one (AppendItem), then the frame around them (AppendData).
type Data struct {
	Lane  byte
	Edge  string // "for"; "" = for all
	Items []Item // at most MaxItems
}

// Item is one message or one control record of a DATA frame.
type Item struct {
	Position uint64
	Kind     byte
	Body     []byte // a message in the bytes of mqtt.AppendMessage, or a control record
}

// The kinds of item. One that is not known is skipped, and acknowledged.
const (
	ItemMessage byte = 0
	ItemReplay  byte = 1 // a retained message sent because of a new subscription
	ItemControl byte = 2 // EdgeAt
	ItemHealed  byte = 3 // a retained message, or a clearing, of which the receiver has an older one; see FeatureReconcile
)

// MaxItemHead is what an item needs at most beyond its body.
const MaxItemHead = 64

const dataCompressed = 1 << 0

// AppendItem writes one item behind items; last is the position of the one before, of the first its own.
func AppendItem(items []byte, last uint64, it Item) []byte {
	items = binary.AppendUvarint(items, it.Position-last)
	items = append(items, it.Kind)
	return AppendPrefixed(items, it.Body)
}

// AppendData writes a DATA frame behind dst. items are count items that AppendItem wrote, the first at position first.
func AppendData(dst []byte, lane byte, edge string, first uint64, count int, items []byte, c *Compressor) []byte {
	flags, size := byte(0), len(items)
	if small, ok := c.shrink(items); ok {
		flags, items = dataCompressed, small
	}
	dst = append(dst, version, flags, lane)
	dst = AppendPrefixed(dst, edge)
	dst = binary.AppendUvarint(dst, first)
	dst = binary.AppendUvarint(dst, uint64(count))
	dst = binary.AppendUvarint(dst, uint64(size))
	return append(dst, items...)
}

// DecodeData reads a DATA frame. The items' bodies alias b, or the buffer they were decompressed into.
func DecodeData(b []byte, c *Compressor) (f Data, err error) { return decodeData(b, c, c.max) }

// DecodeWhole is DecodeData of a frame that came in fragments.
func DecodeWhole(b []byte, c *Compressor) (f Data, err error) { return decodeData(b, c, c.all) }

func decodeData(b []byte, c *Compressor, limit int) (f Data, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	flags := r.Uint8()
	f.Lane = r.Uint8()
	f.Edge = r.Text(MaxName)
	position := r.Uvarint()
	count := r.Count(MaxItems)
	size := r.Count(limit)
	if r.Err() == nil && flags&dataCompressed != 0 {
		expanded, err := c.expand(r.Rest(), size)
		if err != nil {
			r.Fail(err)
		}
		r.Resume(expanded)
	}
	r.Resume(r.Bytes(size)) // what follows is of a later version
	f.Items = make([]Item, 0, count)
	for ; count > 0 && r.Err() == nil; count-- {
		step := r.Uvarint()
		if position+step < position {
			r.Fail(errors.New("positions run over"))
		}
		position += step
		f.Items = append(f.Items, Item{Position: position, Kind: r.Uint8(), Body: r.Prefixed(limit)})
	}
	return f, done(&r, KindData)
}
