package frame

import (
	"encoding/binary"

	"mangrove/internal/bytesread"
)

// MaxLives is how many lives of a node are told to another.
const MaxLives = 16

// Life is the sender's running life; 0 = it knows no lives.
func (h *Hello) Life() uint64 {
	if len(h.Lives) == 0 {
		return 0
	}
	return h.Lives[0]
}

// appendLives writes the first of lives, 8 bytes each.
func appendLives(dst []byte, lives []uint64) []byte {
	for _, life := range lives {
		dst = binary.BigEndian.AppendUint64(dst, life)
	}
	return dst
}

// readLives reads 8 bytes each, until r or the room for lives ends.
func readLives(r *bytesread.Reader, lives []uint64) []uint64 {
	for r.Len() >= 8 && len(lives) < MaxLives {
		lives = append(lives, r.Uint64())
	}
	return lives
}
