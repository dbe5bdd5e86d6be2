package bridge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"mangrove/internal/sim"
)

// testFrameBytes is what a frame may hold here.
const testFrameBytes = 1 << 20

func testCompressor(t testing.TB) *compressor {
	t.Helper()
	c, err := newCompressor(testFrameBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// frameCase is one frame with its bytes.
type frameCase struct {
	name   string
	bytes  []byte
	want   any
	decode func([]byte) (any, error)
}

func frameCases(t testing.TB) []frameCase {
	c := testCompressor(t)
	asHello := func(b []byte) (any, error) { h, err := decodeHello(b); return h, err }
	asCores := func(b []byte) (any, error) { v, err := decodeCores(b); return v, err }
	asInterest := func(b []byte) (any, error) { v, err := decodeInterest(b); return v, err }
	asData := func(b []byte) (any, error) { v, err := decodeData(b, c); return v, err }
	asAck := func(b []byte) (any, error) { v, err := decodeAck(b); return v, err }
	asGoaway := func(b []byte) (any, error) { v, err := decodeGoaway(b); return v, err }
	asEdgeAt := func(b []byte) (any, error) { v, err := decodeEdgeAt(b); return v, err }

	hi := hello{name: "core-1", store: 7, role: RoleCore, attach: 300, last: attachment{5, 299}, held: digest{2, 1 << 63}, window: 1024, windowBytes: 1 << 22, maxBytes: 1 << 20}
	cores := []Core{{Name: "x", Addr: "127.0.0.1:1", Weight: 2}, {Name: "y", Addr: "tls://h:2", Suspect: true}}
	interest := interestFrame{first: true, entries: []want{{filter: "a/#", qos: 2}, {filter: "b", gone: true}}}
	data := dataFrame{lane: 1, edge: "b", items: []item{{position: 300, body: []byte("one")}, {position: 302, kind: itemControl, body: []byte{}}}}
	large := dataFrame{lane: 1, items: []item{{position: 1 << 63, body: bytes.Repeat([]byte("x"), 5000)}}}
	ack := ackFrame{lane: 1, position: 1 << 40, window: 1, windowBytes: 2}
	bye := goawayFrame{code: goawayRefused, retry: 5 * time.Second, text: "full"}
	at := edgeAt{edge: "b", store: 9, attach: 3}
	return []frameCase{
		{"hello", hi.append(nil), hi, asHello},
		{"cores", appendCores(nil, cores), cores, asCores},
		{"interest", interest.append(nil), interest, asInterest},
		{"data", data.append(nil, c), data, asData},
		{"compressed data", large.append(nil, c), large, asData},
		{"ack", ack.append(nil), ack, asAck},
		{"goaway", bye.append(nil), bye, asGoaway},
		{"edge at", at.append(nil), at, asEdgeAt},
	}
}

func TestFramesRoundTrip(t *testing.T) {
	for _, c := range frameCases(t) {
		got, err := c.decode(c.bytes)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestFrameBytes(t *testing.T) {
	c := testCompressor(t)
	for _, e := range []struct {
		name      string
		got, want []byte
	}{
		{"hello", (&hello{name: "a", store: 1, role: RoleEdge, attach: 2, last: attachment{3, 4}, held: digest{5, 6}, window: 7, windowBytes: 8, maxBytes: 9}).append(nil),
			[]byte{1, 1, 1, 'a', 2, 1, 1, 3, 1, byte(RoleEdge.code()), 4, 1, 2, 5, 1, 5, 6, 1, 6, 7, 1, 7, 8, 1, 8, 9, 1, 9, 10, 1, 3, 11, 1, 4}},
		{"cores", appendCores(nil, []Core{{Name: "x", Addr: "h", Weight: 3, Suspect: true}}), []byte{1, 1, 1, 'x', 1, 'h', 3, 1}},
		{"interest", (&interestFrame{last: true, entries: []want{{filter: "a", qos: 1, gone: true}}}).append(nil), []byte{1, 2, 1, 0x81, 1, 'a'}},
		{"data", (&dataFrame{lane: 1, edge: "b", items: []item{{position: 5, body: []byte("m")}, {position: 7, kind: 1}}}).append(nil, c),
			[]byte{1, 0, 1, 1, 'b', 5, 2, 7, 0, 0, 1, 'm', 2, 1, 0}},
		{"ack", (&ackFrame{lane: 1, position: 5, window: 6, windowBytes: 7}).append(nil), []byte{1, 1, 5, 6, 7}},
		{"goaway", (&goawayFrame{code: goawayNameInUse, retry: time.Second, text: "no"}).append(nil), []byte{1, 3, 0xE8, 7, 2, 'n', 'o'}},
	} {
		if !bytes.Equal(e.got, e.want) {
			t.Errorf("%s: got % x, want % x", e.name, e.got, e.want)
		}
	}
}

// Cut anywhere, a frame is an error: never a panic, never half of it. HELLO alone may be cut between fields
// whose absence has a meaning.
func TestFramesCutAtEveryByte(t *testing.T) {
	for _, c := range frameCases(t) {
		between := map[int]bool{}
		if c.name == "hello" {
			between = fieldEnds(t, c.bytes)
		}
		for n := range c.bytes {
			if got, err := c.decode(c.bytes[:n]); err == nil && !between[n] {
				t.Errorf("%s cut at %d of %d: got %+v, want an error", c.name, n, len(c.bytes), got)
			}
		}
	}
}

// fieldEnds is where the fields of a HELLO end.
func fieldEnds(t *testing.T, b []byte) map[int]bool {
	ends := map[int]bool{}
	r := reader{b: b}
	r.version()
	for len(r.b) > 0 {
		r.uvarint()
		r.bytes(len(r.b))
		ends[len(b)-len(r.b)] = true
	}
	if r.err != nil || len(ends) < 5 {
		t.Fatalf("got %d fields, %v", len(ends), r.err)
	}
	return ends
}

// A later version may add to a frame.
func TestFramesWithMoreAtTheEnd(t *testing.T) {
	for _, c := range frameCases(t) {
		if c.name == "compressed data" {
			continue // its items reach to the end
		}
		more := append(bytes.Clone(c.bytes), 0x7F, 0)
		if got, err := c.decode(more); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s with two more bytes: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestFrameBounds(t *testing.T) {
	c := testCompressor(t)
	for _, e := range []struct {
		name, want string
		decode     func() error
	}{
		{"version 0", "version 0", func() error { _, err := decodeAck([]byte{0, 1, 1, 1, 1}); return err }},
		{"too many cores", "bound", func() error { _, err := decodeCores([]byte{1, 0xFF, 0x7F}); return err }},
		{"too many filters", "bound", func() error { _, err := decodeInterest([]byte{1, 0, 0xFF, 0x7F}); return err }},
		{"QoS 3", "QoS 3", func() error { _, err := decodeInterest([]byte{1, 0, 1, 3, 1, 'a'}); return err }},
		{"too many items", "bound", func() error { _, err := decodeData([]byte{1, 0, 1, 0, 1, 0xFF, 0x7F, 0}, c); return err }},
		{"too many bytes", "bound", func() error {
			_, err := decodeData([]byte{1, 1, 1, 0, 1, 1, 0xFF, 0xFF, 0xFF, 0x7F}, c)
			return err
		}},
		{"bytes that grow", "", func() error {
			bomb := c.enc.EncodeAll(make([]byte, 1<<20), nil)
			_, err := decodeData(append([]byte{1, 1, 1, 0, 1, 1, 10}, bomb...), c)
			return err
		}},
		{"position runs over", "run over", func() error {
			f := dataFrame{lane: 1, items: []item{{position: ^uint64(0)}, {position: 3}}}
			_, err := decodeData(f.append(nil, c), c)
			return err
		}},
		{"no name", "no name", func() error { h := hello{store: 1}; _, err := decodeHello(h.append(nil)); return err }},
	} {
		if err := e.decode(); err == nil || !strings.Contains(err.Error(), e.want) {
			t.Errorf("%s: got %v, want an error with %q", e.name, err, e.want)
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	rec := record{num: 1, store: 1 << 60, scope: 2, attach: 3, settled: 2, lastSeen: time.Unix(1000, 0), moved: time.Unix(2000, 0), movedTo: "y",
		cores: []Core{{Name: "x", Addr: "h:1"}}}
	b := rec.append(nil)
	if got, err := decodeRecord("b", b); err != nil || !reflect.DeepEqual(got, rec) {
		t.Errorf("got %+v, %v, want %+v", got, err, rec)
	}
	for n := range b {
		if got, err := decodeRecord("b", b[:n]); err == nil {
			t.Errorf("cut at %d: got %+v, want an error", n, got)
		}
	}
}

// FuzzFrames feeds any bytes to every decoder: no panic, no more memory than the bounds allow, and what was understood can be
// written again.
func FuzzFrames(f *testing.F) {
	cases := frameCases(f)
	for _, c := range cases {
		f.Add(c.bytes)
	}
	f.Add(binary.AppendUvarint([]byte{frameVersion, dataCompressed, laneDurable, 0, 1, 1}, 1<<29)) // a size that is not true
	z := testCompressor(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range cases {
			got, err := c.decode(b)
			if made, most := sim.AllocatedBy(3, func() { _, err = c.decode(b) }), frameMemory(len(b)); made > most {
				t.Errorf("%s of %d bytes made %d bytes of allocations, want at most %d", c.name, len(b), made, most)
			}
			if err != nil {
				continue
			}
			again := encodeAny(got, z)
			back, err := c.decode(again)
			if err != nil || fmt.Sprint(back) != fmt.Sprint(got) {
				t.Errorf("%s: got %+v, %v, want %+v", c.name, back, err, got)
			}
		}
	})
}

// frameMemory is what decoding n bytes may allocate: for what is compressed as much as a frame may hold, twice where it grows, and for each
// byte an entry of a list at most.
func frameMemory(n int) uint64 { return 256<<10 + 2*testFrameBytes + 128*uint64(n) }

func encodeAny(v any, z *compressor) []byte {
	switch v := v.(type) {
	case hello:
		return v.append(nil)
	case []Core:
		return appendCores(nil, v)
	case interestFrame:
		return v.append(nil)
	case dataFrame:
		return v.append(nil, z)
	case ackFrame:
		return v.append(nil)
	case goawayFrame:
		return v.append(nil)
	case edgeAt:
		return v.append(nil)
	}
	panic("BUG: unknown frame")
}
