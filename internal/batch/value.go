package batch

import "encoding/binary"

// Value is the value of a record in its stored form: what the form is (1 byte), then what Get of a store returns.
//
//	plain  0  the bytes of Put
//	ref    1  id of a body (8, big-endian), the bytes of PutRef
type Value []byte

const (
	valuePlain = 0
	valueRef   = 1 // holds a reference to the body it starts with
)

// Valid reports whether v has a known form.
func (v Value) Valid() bool {
	return len(v) >= 1 && v[0] == valuePlain || len(v) >= 9 && v[0] == valueRef
}

// Ref tells which body v holds a reference to.
func (v Value) Ref() (id uint64, ok bool) {
	if len(v) < 9 || v[0] != valueRef {
		return 0, false
	}
	return binary.BigEndian.Uint64(v[1:]), true
}

// RefID takes apart what is read of a value written by PutRef. ok is false when it is too short to be one.
func RefID(value []byte) (id uint64, rest []byte, ok bool) {
	if len(value) < 8 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(value), value[8:], true
}
