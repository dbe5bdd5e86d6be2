package frame

import (
	"encoding/binary"

	"mangrove/internal/bytesread"
)

// Summary sums up the interest that the sender has told on this link so far: the receiver holds the same, or asks for all
// of it. It is sent only to who understands FeatureSummary.
//
//	version  1
//	flags    bit 0 asks the other side to tell all of its interest anew; what follows is 0 then
//	count    uvarint
//	sum      uvarint
type Summary struct {
	Ask  bool
	Told Digest
}

const summaryAsk = 1 << 0

// Append writes the frame behind dst.
func (f Summary) Append(dst []byte) []byte {
	flags := byte(0)
	if f.Ask {
		flags |= summaryAsk
	}
	dst = append(dst, version, flags)
	dst = binary.AppendUvarint(dst, f.Told.Count)
	return binary.AppendUvarint(dst, f.Told.Sum)
}

// DecodeSummary reads a SUMMARY frame.
func DecodeSummary(b []byte) (f Summary, err error) {
	r := bytesread.New(b)
	checkVersion(&r)
	f.Ask = r.Uint8()&summaryAsk != 0
	f.Told = Digest{Count: r.Uvarint(), Sum: r.Uvarint()}
	return f, done(&r, KindSummary)
}
