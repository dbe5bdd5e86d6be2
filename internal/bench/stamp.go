package bench

import "encoding/binary"

// stamp begins every payload.
//
//	run 4 │ stream 4 │ number 8 │ intended time 8 │ filling up to the payload's size
type stamp struct {
	run    uint32
	stream uint32
	seq    uint64
	due    int64 // when it was meant to be sent, nanoseconds of the loop's clock
}

// stampSize is also the smallest payload.
const stampSize = 24

func (s *stamp) put(b []byte) {
	binary.LittleEndian.PutUint32(b, s.run)
	binary.LittleEndian.PutUint32(b[4:], s.stream)
	binary.LittleEndian.PutUint64(b[8:], s.seq)
	binary.LittleEndian.PutUint64(b[16:], uint64(s.due))
}

// readStamp answers false when b is too short.
func readStamp(b []byte) (s stamp, ok bool) {
	if len(b) < stampSize {
		return s, false
	}
	return stamp{
		run:    binary.LittleEndian.Uint32(b),
		stream: binary.LittleEndian.Uint32(b[4:]),
		seq:    binary.LittleEndian.Uint64(b[8:]),
		due:    int64(binary.LittleEndian.Uint64(b[16:])),
	}, true
}
