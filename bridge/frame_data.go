package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// dataFrame carries messages of one lane in the order of their positions.
//
//	version   1
//	flags     bit 0 items are compressed (zstd)
//	lane      1
//	for       uvarint length, bytes: the edge these messages are for, when they were kept for it elsewhere
//	first     uvarint, position of the first item
//	count     uvarint
//	size      uvarint, bytes of the items before compression
//	items     each: uvarint position minus the one before, kind byte, uvarint length, bytes
type dataFrame struct {
	lane  byte
	edge  string
	items []item
}

// item is one message, in the bytes of mqtt.AppendMessage, or one control record.
type item struct {
	position uint64
	kind     byte
	body     []byte // of a decoded frame: aliases it, or the buffer it was decompressed into
}

const (
	itemMessage byte = 0
	itemReplay  byte = 1 // a retained message sent because of a new subscription
	itemControl byte = 2 // see control.go; a kind that is not known is skipped, and acknowledged
)

const dataCompressed = 1 << 0

// compressAbove is the size from which frames are compressed: below it, headers eat the gain.
const compressAbove = 1 << 10

// compressor is safe for concurrent use and holds no goroutine.
type compressor struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
	max int // bytes of items in one frame
}

func newCompressor(maxBytes int) (*compressor, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(maxBytes)), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	return &compressor{enc: enc, dec: dec, max: maxBytes}, nil
}

func (c *compressor) close() error {
	c.dec.Close()
	return c.enc.Close()
}

// appendItem adds one item to items; last is the position of the one before.
func appendItem(items []byte, last uint64, it item) []byte {
	items = binary.AppendUvarint(items, it.position-last)
	items = append(items, it.kind)
	return appendString(items, it.body)
}

func (f *dataFrame) append(dst []byte, c *compressor) []byte {
	var items []byte
	first := uint64(0)
	if len(f.items) > 0 {
		first = f.items[0].position
	}
	last := first
	for _, it := range f.items {
		items = appendItem(items, last, it)
		last = it.position
	}
	return appendData(dst, f.lane, f.edge, first, len(f.items), items, c)
}

// appendData writes a frame whose items are written already.
func appendData(dst []byte, lane byte, edge string, first uint64, count int, items []byte, c *compressor) []byte {
	flags, size := byte(0), len(items)
	if size > compressAbove {
		if small := c.enc.EncodeAll(items, make([]byte, 0, size)); len(small) < size {
			flags, items = dataCompressed, small
		}
	}
	dst = append(dst, frameVersion, flags, lane)
	dst = appendString(dst, edge)
	dst = binary.AppendUvarint(dst, first)
	dst = binary.AppendUvarint(dst, uint64(count))
	dst = binary.AppendUvarint(dst, uint64(size))
	return append(dst, items...)
}

func decodeData(b []byte, c *compressor) (f dataFrame, err error) {
	r := reader{b: b}
	r.version()
	flags := r.byte()
	f.lane = r.byte()
	f.edge = r.string(maxName)
	position := r.uvarint()
	count := r.count(maxItems)
	size := r.count(c.max)
	if r.err == nil && flags&dataCompressed != 0 {
		r.b, r.err = c.expand(r.b, size)
	}
	if r.err == nil && len(r.b) < size {
		r.fail(errShort)
	}
	if r.err == nil {
		r.b = r.b[:size]
	}
	f.items = make([]item, 0, count)
	for ; count > 0 && r.err == nil; count-- {
		step := r.uvarint()
		if position+step < position {
			r.fail(errors.New("positions run over"))
		}
		position += step
		f.items = append(f.items, item{position: position, kind: r.byte(), body: r.bytes(c.max)})
	}
	return f, r.done(kindData)
}

// expand decompresses into exactly size bytes.
func (c *compressor) expand(b []byte, size int) ([]byte, error) {
	out, err := c.dec.DecodeAll(b, make([]byte, 0, size))
	if err != nil {
		return nil, err
	}
	if len(out) != size {
		return nil, fmt.Errorf("%d bytes after decompression, said were %d", len(out), size)
	}
	return out, nil
}
