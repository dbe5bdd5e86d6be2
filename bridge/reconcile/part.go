package reconcile

// Part is one thing that a side tells the other.
type Part struct {
	Kind  Kind
	Range Range  // of Sum and Whole
	Count uint64 // of Sum: how many messages are in the range
	Sum   uint64 // of Sum
	Items []Item // of Whole and Some, rising by Key
	Keys  []uint64
}

// Kind is what a Part is.
type Kind byte

const (
	Sum   Kind = 1 // Count and Sum of all messages in a Range
	Whole Kind = 2 // all messages in a Range: Items
	Some  Kind = 3 // Items that the other side has not, or has older
	Want  Kind = 4 // Keys of topics that the other side is to send
)

// Range is the keys whose upper Bits bits are those of Prefix; its other bits are 0. The zero Range is all keys.
type Range struct {
	Prefix uint64
	Bits   byte
}

// MaxBits is the most that Range.Bits may be.
const MaxBits = 60

// Valid reports whether r may come from the other side.
func (r Range) Valid() bool { return r.Bits <= MaxBits && r.Prefix&^r.mask() == 0 }

func (r Range) mask() uint64 { return ^uint64(0) << (64 - r.Bits) } // a shift by 64 leaves 0

// last is the highest key in r.
func (r Range) last() uint64 { return r.Prefix | ^r.mask() }

// fanOut is how many ranges a range is split into, and splitBits how many bits that takes.
const (
	splitBits = 4
	fanOut    = 1 << splitBits
)

// split returns the parts of r.
func (r Range) split() (parts [fanOut]Range) {
	bits := r.Bits + splitBits
	for i := range parts {
		parts[i] = Range{Prefix: r.Prefix | uint64(i)<<(64-bits), Bits: bits}
	}
	return parts
}

// Bytes that the parts take in a frame, at most.
const (
	ItemBytes = 24
	SumBytes  = 24
	KeyBytes  = 8
	headBytes = 16 // of a Whole, Some or Want
)

// size is the bytes of a part in a frame, at most.
func (p *Part) size() int {
	if p.Kind == Sum {
		return SumBytes
	}
	return headBytes + len(p.Items)*ItemBytes + len(p.Keys)*KeyBytes
}
