package packet

import (
	"reflect"
	"testing"

	"mangrove/internal/sim"
)

// Each target decodes hostile bodies of one packet. It must not panic, must not allocate much more than the
// body is long, and what it accepts must survive writing and reading.

func FuzzConnect(f *testing.F)     { fuzzPacket(f, CONNECT) }
func FuzzConnack(f *testing.F)     { fuzzPacket(f, CONNACK) }
func FuzzPublish(f *testing.F)     { fuzzPacket(f, PUBLISH) }
func FuzzPuback(f *testing.F)      { fuzzPacket(f, PUBACK) }
func FuzzPubrec(f *testing.F)      { fuzzPacket(f, PUBREC) }
func FuzzPubrel(f *testing.F)      { fuzzPacket(f, PUBREL) }
func FuzzPubcomp(f *testing.F)     { fuzzPacket(f, PUBCOMP) }
func FuzzSubscribe(f *testing.F)   { fuzzPacket(f, SUBSCRIBE) }
func FuzzSuback(f *testing.F)      { fuzzPacket(f, SUBACK) }
func FuzzUnsubscribe(f *testing.F) { fuzzPacket(f, UNSUBSCRIBE) }
func FuzzUnsuback(f *testing.F)    { fuzzPacket(f, UNSUBACK) }
func FuzzPingreq(f *testing.F)     { fuzzPacket(f, PINGREQ) }
func FuzzPingresp(f *testing.F)    { fuzzPacket(f, PINGRESP) }
func FuzzDisconnect(f *testing.F)  { fuzzPacket(f, DISCONNECT) }
func FuzzAuth(f *testing.F)        { fuzzPacket(f, AUTH) }

func fuzzPacket(f *testing.F, kind Type) {
	samples, refusals := tables()
	for _, s := range samples {
		seed(f, kind, s.wire, s.v)
	}
	for _, r := range refusals {
		seed(f, kind, r.wire, r.v)
	}
	f.Fuzz(func(t *testing.T, flags byte, body []byte, v byte) {
		checkHostile(t, kind, flags&0x0F, body, versions[int(v)%len(versions)])
	})
}

func seed(f *testing.F, kind Type, wire []byte, v Version) {
	if Type(wire[0]>>4) != kind {
		return
	}
	_, header, _, err := Frame(wire, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire[0]&0x0F, wire[header:], byte(v-V31))
}

func checkHostile(t *testing.T, kind Type, flags byte, body []byte, v Version) {
	t.Helper()
	p := New(kind)
	err := p.Decode(flags, body, v)
	if got, most := sim.AllocatedBy(5, func() { New(kind).Decode(flags, body, v) }), allocBound(len(body)); got > most {
		t.Errorf("%v of %d bytes made %d bytes of allocations, want at most %d", kind, len(body), got, most)
	}
	if err != nil {
		return
	}
	if c, ok := p.(*Connect); ok {
		v = c.Version
	}
	again, err := Read(p.Append(nil, v), v)
	if err != nil {
		t.Fatalf("%+v does not read back: %v", p, err)
	}
	if same(p, again); !reflect.DeepEqual(p, again) {
		t.Errorf("got %+v, want %+v", again, p)
	}
}

// allocBound is what decoding n bytes may allocate: the greatest growth is that of five bytes of
// user property into two strings, in a slice that doubles.
func allocBound(n int) uint64 { return 64<<10 + 32*uint64(n) }

func FuzzFrame(f *testing.F) {
	for _, s := range []string{"", "\xC0\x00", "\x30\xFF\xFF\xFF\x7F", "\x30\x80\x80\x80\x80\x01", "\x00", "\x16\x03\x01\x02\x00"} {
		f.Add([]byte(s), uint32(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, max uint32) {
		total, header, want, err := Frame(b, max)
		switch {
		case err != nil && (total != 0 || header != 0 || want != 0):
			t.Errorf("got %d %d %d with error %v", total, header, want, err)
		case total > len(b) || total != 0 && total != want || header > want || max > 0 && want > int(max):
			t.Errorf("got total %d, header %d, want %d of %d bytes", total, header, want, len(b))
		}
	})
}

func FuzzProperties(f *testing.F) {
	for id := range table24 {
		f.Add([]byte(section(example(id))), uint64(1)<<id)
	}
	f.Fuzz(func(t *testing.T, b []byte, allowed uint64) {
		p, _, err := DecodeProperties(b, allowed)
		if err != nil || p == nil {
			return
		}
		again, rest, err := DecodeProperties(p.Append(nil), allowed)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%+v does not read back: %v", p, err)
		}
		unify(reflect.ValueOf(p))
		if unify(reflect.ValueOf(again)); !reflect.DeepEqual(p, again) {
			t.Errorf("got %+v, want %+v", again, p)
		}
	})
}
