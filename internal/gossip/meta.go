package gossip

import (
	"encoding/binary"
	"fmt"

	"github.com/hashicorp/memberlist"

	"mangrove/internal/bytesread"
)

// Meta is what a node says about itself.
type Meta struct {
	Role     string   // core or edge
	Store    uint64   // id of its store, made with its database
	Link     string   // host:port other nodes dial
	Client   string   // host:port for clients
	HTTP     string   // host:port of its status pages
	Weight   int      // share of edges or clients it wants; >= 0
	Protocol [2]uint8 // lowest and highest link protocol it speaks
	Site     string
}

// MaxMeta bounds an encoded Meta, with the node's name, in bytes.
const MaxMeta = memberlist.MetaMaxSize

// metaLayout is the first byte of an encoded announcement. It changes only when the fields below
// change; fields that are added go to the end, where older nodes skip them.
const metaLayout = 1

// announcement is what travels as memberlist's node meta:
//
//	layout 1 │ flags 1 │ started 8 │ store 8 │ protocol 2 │ weight 4 │ name, role, site, link, client, http
//
// where a text is one byte of length (texts up to 255 bytes) and as many bytes.
type announcement struct {
	Meta
	name    string
	leaving bool
	started int64 // Unix milliseconds; tells starts of one node apart
}

const flagLeaving = 0x01

func (a *announcement) texts() []*string {
	return []*string{&a.name, &a.Role, &a.Site, &a.Link, &a.Client, &a.HTTP}
}

func (a *announcement) encode() ([]byte, error) {
	if a.Weight < 0 || a.Weight > 1<<31-1 {
		return nil, fmt.Errorf("weight is %d, want 0 to %d", a.Weight, 1<<31-1)
	}
	var flags byte
	if a.leaving {
		flags |= flagLeaving
	}
	b := []byte{metaLayout, flags}
	b = binary.BigEndian.AppendUint64(b, uint64(a.started))
	b = binary.BigEndian.AppendUint64(b, a.Store)
	b = append(b, a.Protocol[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(a.Weight))
	for _, s := range a.texts() {
		if len(*s) > 255 {
			return nil, fmt.Errorf("text %.20q…: got %d bytes, want at most 255", *s, len(*s))
		}
		b = append(append(b, byte(len(*s))), *s...)
	}
	if len(b) > MaxMeta {
		return nil, fmt.Errorf("got %d bytes, want at most %d", len(b), MaxMeta)
	}
	return b, nil
}

func decodeAnnouncement(b []byte) (a announcement, err error) {
	r := bytesread.New(b)
	if layout := r.Uint8(); r.Err() == nil && layout != metaLayout {
		return a, fmt.Errorf("announcement has layout %d, want %d", layout, metaLayout)
	}
	a.leaving = r.Uint8()&flagLeaving != 0
	a.started = int64(r.Uint64())
	a.Store = r.Uint64()
	a.Protocol = [2]uint8{r.Uint8(), r.Uint8()}
	a.Weight = int(r.Uint32() &^ (1 << 31))
	for _, s := range a.texts() {
		*s = string(r.Bytes(int(r.Uint8())))
	}
	switch {
	case r.Err() != nil:
		return a, fmt.Errorf("decode announcement: %w", r.Err())
	case len(a.name) == 0 || len(a.name) > maxName:
		return a, fmt.Errorf("announced name has %d bytes, want 1 to %d", len(a.name), maxName)
	}
	return a, nil
}
