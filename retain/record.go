package retain

import (
	"encoding/binary"
	"errors"
	"fmt"

	"mangrove/internal/batch"
	"mangrove/internal/bytesread"
	"mangrove/internal/hlc"
	"mangrove/mqtt"
)

// The record of a topic, after the body's id that the store puts first (0 for a clearing, which has no body):
//
//	form 1 (= 1)  origin store uvarint  origin seq uvarint  size uvarint  expires uvarint (0 = never)
//	form 2 (= 2)  flags 1 (bit 0 a clearing, bit 1 published here)  version 8 big-endian  then as form 1
//
// Form 1 is of the time before versions: its message is older than any that has one.
const (
	recordForm1 = 1
	recordForm2 = 2

	recordGone = 1 << 0
	recordHere = 1 << 1
)

func (e *entry) appendRecord(dst []byte) []byte {
	flags := byte(0)
	if e.gone {
		flags |= recordGone
	}
	if e.here {
		flags |= recordHere
	}
	dst = append(dst, recordForm2, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.time))
	dst = binary.AppendUvarint(dst, e.origin.Life)
	dst = binary.AppendUvarint(dst, e.origin.Seq)
	dst = binary.AppendUvarint(dst, uint64(e.size))
	return binary.AppendUvarint(dst, uint64(e.expires.At))
}

// decodeRecord makes the entry of a record. Bytes after its fields are skipped.
func decodeRecord(topic, value []byte) (*entry, error) {
	id, rest, ok := batch.RefID(value)
	if !ok {
		return nil, fmt.Errorf("record of the retained message of %q is damaged", topic)
	}
	r := bytesread.New(rest)
	e := &entry{topic: string(topic), id: id, time: hlc.First}
	switch form := r.Uint8(); form {
	case recordForm1:
	case recordForm2:
		flags := r.Uint8()
		e.gone, e.here = flags&recordGone != 0, flags&recordHere != 0
		e.time = hlc.Time(r.Uint64())
	default:
		r.Fail(errors.New("unknown form"))
	}
	e.origin = mqtt.Origin{Life: r.Uvarint(), Seq: r.Uvarint()}
	e.size = int64(r.Uvarint())
	e.expires.At = int64(r.Uvarint())
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("record of the retained message of %q: %w", topic, err)
	}
	return e, nil
}
