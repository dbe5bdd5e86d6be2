package frame

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// compressAbove is the size from which frames are compressed: below it, headers eat the gain.
const compressAbove = 1 << 10

// Compressor compresses the items of DATA frames. It is safe for concurrent use and holds no goroutine.
type Compressor struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
	max int // bytes of items in one frame
	all int // bytes of items in one that came in fragments
}

// NewCompressor makes one for frames with up to maxBytes bytes of items, maxWhole in those that came in fragments. Close must
// follow.
func NewCompressor(maxBytes, maxWhole int) (*Compressor, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(max(maxBytes, maxWhole))), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	return &Compressor{enc: enc, dec: dec, max: maxBytes, all: maxWhole}, nil
}

// shrink compresses items; ok is false when that gains nothing.
func (c *Compressor) shrink(items []byte) (small []byte, ok bool) {
	if len(items) <= compressAbove {
		return nil, false
	}
	small = c.enc.EncodeAll(items, make([]byte, 0, len(items)))
	return small, len(small) < len(items)
}

// expand decompresses into exactly size bytes.
func (c *Compressor) expand(b []byte, size int) ([]byte, error) {
	out, err := c.dec.DecodeAll(b, make([]byte, 0, size))
	if err != nil {
		return nil, err
	}
	if len(out) != size {
		return nil, fmt.Errorf("%d bytes after decompression, said were %d", len(out), size)
	}
	return out, nil
}

// Close frees what the Compressor holds.
func (c *Compressor) Close() error {
	c.dec.Close()
	return c.enc.Close()
}
