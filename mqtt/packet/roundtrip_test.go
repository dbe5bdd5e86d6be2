package packet

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// kinds are the packets of version v.
func kinds(v Version) (all []Type) {
	for t := CONNECT; t <= AUTH; t++ {
		if t != AUTH || v == V5 {
			all = append(all, t)
		}
	}
	return all
}

func eachKind(t *testing.T, test func(t *testing.T, kind Type, v Version)) {
	for _, v := range versions {
		for _, kind := range kinds(v) {
			t.Run(fmt.Sprintf("%v/v%d", kind, v), func(t *testing.T) { test(t, kind, v) })
		}
	}
}

// What was encoded decodes to the same packet and encodes to the same bytes.
func TestRoundTrip(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Type, v Version) {
		rapid.Check(t, func(rt *rapid.T) {
			want := drawPacket(rt, kind, v)
			wire := want.Append(nil, v)
			got, err := Read(wire, v)
			if err != nil {
				rt.Fatalf("Read(% x): %v", wire, err)
			}
			same(got, want)
			if !reflect.DeepEqual(got, want) {
				rt.Fatalf("got %+v, want %+v", got, want)
			}
			if again := got.Append(nil, v); !bytes.Equal(again, wire) {
				rt.Fatalf("got % x, want % x", again, wire)
			}
		})
	})
}

// same makes empty and nil byte slices alike, which are the same on the wire.
func same(all ...Packet) {
	for _, p := range all {
		unify(reflect.ValueOf(p).Elem())
	}
}

func unify(v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		unify(v.Elem())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			unify(v.Field(i))
		}
	case v.Kind() == reflect.Slice && v.Len() == 0:
		v.SetZero()
	}
}

// A packet cut anywhere is an incomplete frame, and a body cut anywhere is refused or is one of the
// short forms; neither panics.
func TestCutAtEveryByte(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Type, v Version) {
		rapid.Check(t, func(rt *rapid.T) {
			wire := drawPacket(rt, kind, v).Append(nil, v)
			total, header, want, err := Frame(wire, 0)
			if err != nil || total != len(wire) || want != total {
				rt.Fatalf("Frame: got total %d, want %d, error %v", total, len(wire), err)
			}
			for cut := range wire {
				if total, _, _, err := Frame(wire[:cut], 0); total != 0 || err != nil {
					rt.Fatalf("Frame of %d of %d bytes: got total %d, error %v; want more asked for", cut, len(wire), total, err)
				}
				if cut >= header {
					checkCutBody(rt, wire[0], wire[header:cut], v)
				}
			}
		})
	})
}

// checkCutBody decodes a body that lost its end. What is accepted must survive a round trip.
func checkCutBody(t *rapid.T, first byte, body []byte, v Version) {
	p := New(Type(first >> 4))
	if p.Decode(first&0x0F, body, v) != nil {
		return
	}
	wire := p.Append(nil, v)
	if _, err := Read(wire, v); err != nil {
		t.Fatalf("cut body % x was taken as %+v, which reads back as %v", body, p, err)
	}
}
