package frame

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"mangrove/bridge/reconcile"
	"mangrove/internal/bytesread"
	"mangrove/internal/sim"
)

// testFrameBytes is what a frame may hold here.
const testFrameBytes = 1 << 20

func testCompressor(t testing.TB) *Compressor {
	t.Helper()
	c, err := NewCompressor(testFrameBytes, testFrameBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// append writes a frame whose items are at hand.
func (f Data) append(dst []byte, c *Compressor) []byte {
	var items []byte
	first := uint64(0)
	if len(f.Items) > 0 {
		first = f.Items[0].Position
	}
	last := first
	for _, it := range f.Items {
		items = AppendItem(items, last, it)
		last = it.Position
	}
	return AppendData(dst, f.Lane, f.Edge, first, len(f.Items), items, c)
}

// frameCase is one value of a kind of frame, and how that kind is written and read.
type frameCase struct {
	name   string
	value  any
	encode func(any) []byte
	decode func([]byte) (any, error)
}

func (c *frameCase) bytes() []byte { return c.encode(c.value) }

// row makes a frameCase.
func row[T any](name string, value T, encode func(T) []byte, decode func([]byte) (T, error)) frameCase {
	return frameCase{name, value,
		func(v any) []byte { return encode(v.(T)) },
		func(b []byte) (any, error) { v, err := decode(b); return v, err }}
}

// fresh makes Append, which writes behind what is there, the encode of a row.
func fresh[T any](write func(T, []byte) []byte) func(T) []byte {
	return func(v T) []byte { return write(v, nil) }
}

// frameCases has a row at least for every kind.
func frameCases(t testing.TB) []frameCase {
	c := testCompressor(t)
	encodeCores := func(v []Core) []byte { return AppendCores(nil, v) }
	encodeData := func(v Data) []byte { return v.append(nil, c) }
	decodeData := func(b []byte) (Data, error) { return DecodeData(b, c) }
	return []frameCase{
		row("hello", Hello{Name: "core-1", Store: 7, Role: RoleCore, Attach: 300, Last: Attachment{5, 299},
			Held: Digest{2, 1 << 63}, Window: 1024, WindowBytes: 1 << 22, MaxBytes: 1 << 20, Hold: true,
			Features: FeatureLinkForm2 | FeatureReconcile, Clock: 1764000000000, Lives: []uint64{1 << 63, 5, 6}, Counts: 301,
			Part: Held{Name: 1 << 63, Bytes: 5}, MaxPart: 1 << 28},
			fresh(Hello.Append), DecodeHello),
		row("cores", []Core{{Name: "x", Addr: "127.0.0.1:1", Weight: 2}, {Name: "y", Addr: "tls://h:2", Suspect: true}},
			encodeCores, DecodeCores),
		row("interest", Interest{First: true, Entries: []Want{{Filter: "a/#", QoS: 2}, {Filter: "b", Gone: true}}},
			fresh(Interest.Append), DecodeInterest),
		row("data", Data{Lane: 1, Edge: "b", Items: []Item{{Position: 300, Body: []byte("one")},
			{Position: 302, Kind: ItemControl, Body: []byte{}}}}, encodeData, decodeData),
		row("compressed data", Data{Lane: 1, Items: []Item{{Position: 1 << 63, Body: bytes.Repeat([]byte("x"), 5000)}}},
			encodeData, decodeData),
		row("ack", Ack{Lane: 1, Position: 1 << 40, Window: 1, WindowBytes: 2, Came: time.Minute}, fresh(Ack.Append), DecodeAck),
		row("goaway", Goaway{Code: GoawayRefused, Retry: 5 * time.Second, Text: "full"}, fresh(Goaway.Append), DecodeGoaway),
		row("retained", Retained{First: true, Clock: 1764000000000, Parts: []reconcile.Part{
			{Kind: reconcile.Sum, Range: reconcile.Range{Prefix: 5 << 60, Bits: 4}, Count: 300, Sum: 1 << 63},
			{Kind: reconcile.Whole, Items: []reconcile.Item{{Key: 1 << 63, Stamp: 7, Tie: 8, Mine: true}, {Key: 2, Gone: true}}},
			{Kind: reconcile.Whole, Range: reconcile.Range{Bits: 60}, Items: []reconcile.Item{}},
			{Kind: reconcile.Some, Items: []reconcile.Item{{Key: 9, Stamp: 1}}}, {Kind: reconcile.Want, Keys: []uint64{1, 2}}}},
			fresh(Retained.Append), DecodeRetained),
		row("fragment", Fragment{Lane: 1, Name: 1 << 63, Size: 1000, From: 300, Age: time.Minute, Bytes: []byte("part")},
			fresh(Fragment.Append), DecodeFragment),
		row("held", Held{Name: 1 << 63, Bytes: 304, Came: time.Hour}, fresh(Held.Append), DecodeHeld),
		row("summary", Summary{Told: Digest{3, 1 << 63}}, fresh(Summary.Append), DecodeSummary),
		row("summary asked for", Summary{Ask: true}, fresh(Summary.Append), DecodeSummary),
		row("probe", Probe{Answer: true}, fresh(Probe.Append), DecodeProbe),
		row("keep", Keep{Last: true, Filters: []string{"a/#", "b"}}, fresh(Keep.Append), DecodeKeep),
		row("relay opens", Relay{Op: RelayOpen, Circuit: 1 << 63, To: "core-2", From: "core-1"}, fresh(Relay.Append), DecodeRelay),
		row("relay", Relay{Op: RelayCarry, Circuit: 7, Kind: KindAck, Body: []byte("frame")}, fresh(Relay.Append), DecodeRelay),
		row("relay got", Relay{Op: RelayGot, Circuit: 7, Got: 300}, fresh(Relay.Append), DecodeRelay),
		row("relay closes", Relay{Op: RelayClose, Circuit: 7, Text: "no link"}, fresh(Relay.Append), DecodeRelay),
		row("presence", Presence{First: true, Edges: []EdgeState{{"a", EdgeThere}, {"b/c", EdgeAway}, {"", EdgeForgotten}}},
			fresh(Presence.Append), DecodePresence),
		row("load", Load{Edges: 300, Weight: 2, Members: 1 << 63, Busy: true}, fresh(Load.Append), DecodeLoad),
		row("move", Move{Answer: MoveFailed, Name: "core-2", Addr: "tls://h:2", Text: "no route"}, fresh(Move.Append), DecodeMove),
		row("twin", Twin{Store: 1 << 63, Life: 7, Where: "10.0.0.7:4711"}, fresh(Twin.Append), DecodeTwin),
		row("edge at", EdgeAt{Edge: "b", Store: 9, Attach: 3, Answer: true, Live: true, Lives: []uint64{1 << 63, 5}}, fresh(EdgeAt.Append), DecodeEdgeAt),
	}
}

// Every kind has a row, so that all the tests of frames try it.
func TestEveryKindHasARow(t *testing.T) {
	src, err := os.ReadFile("frame.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, c := range frameCases(t) {
		names[c.name] = true
	}
	kinds := regexp.MustCompile(`(?m)^\tKind\w+ += "(\w+)"`).FindAllStringSubmatch(string(src), -1)
	if len(kinds) < 7 {
		t.Fatalf("found %d kinds of frame in frame.go", len(kinds))
	}
	for _, k := range kinds {
		if !names[k[1]] {
			t.Errorf("frameCases has no row %q", k[1])
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, c := range frameCases(t) {
		got, err := c.decode(c.bytes())
		if err != nil || !reflect.DeepEqual(got, c.value) {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.value)
		}
	}
}

func TestBytes(t *testing.T) {
	c := testCompressor(t)
	hello := Hello{Name: "a", Store: 1, Role: RoleEdge, Attach: 2, Last: Attachment{3, 4}, Held: Digest{5, 6}, Window: 7, WindowBytes: 8, MaxBytes: 9, Features: 6, Clock: 9}
	data := Data{Lane: 1, Edge: "b", Items: []Item{{Position: 5, Body: []byte("m")}, {Position: 7, Kind: 1}}}
	for _, e := range []struct {
		name      string
		got, want []byte
	}{
		{"hello", hello.Append(nil), []byte{1, 1, 1, 'a', 2, 1, 1, 3, 1, 1, 4, 1, 2, 5, 1, 5, 6, 1, 6, 7, 1, 7, 8, 1, 8, 9, 1, 9, 10, 1, 3, 11, 1, 4, 12, 1, 6, 21, 1, 9}},
		{"cores", AppendCores(nil, []Core{{Name: "x", Addr: "h", Weight: 3, Suspect: true}}), []byte{1, 1, 1, 'x', 1, 'h', 3, 1}},
		{"interest", Interest{Last: true, Entries: []Want{{Filter: "a", QoS: 1, Gone: true}}}.Append(nil), []byte{1, 2, 1, 0x81, 1, 'a'}},
		{"data", data.append(nil, c), []byte{1, 0, 1, 1, 'b', 5, 2, 7, 0, 0, 1, 'm', 2, 1, 0}},
		{"ack", Ack{Lane: 1, Position: 5, Window: 6, WindowBytes: 7, Came: 8 * time.Millisecond}.Append(nil), []byte{1, 1, 5, 6, 7, 8}},
		{"goaway", Goaway{Code: GoawayNameInUse, Retry: time.Second, Text: "no"}.Append(nil), []byte{1, 3, 0xE8, 7, 2, 'n', 'o'}},
		{"fragment", Fragment{Lane: 1, Name: 5, Size: 9, From: 6, Age: time.Millisecond, Bytes: []byte("abc")}.Append(nil), []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 5, 9, 6, 1, 3, 'a', 'b', 'c'}},
		{"held", Held{Name: 5, Bytes: 9, Came: 7 * time.Millisecond}.Append(nil), []byte{1, 0, 0, 0, 0, 0, 0, 0, 5, 9, 7}},
		{"probe", Probe{}.Append(nil), []byte{1, 0}},
		{"keep", Keep{Last: true, Filters: []string{"a"}}.Append(nil), []byte{1, 1, 1, 1, 'a'}},
		{"relay", Relay{Op: RelayCarry, Circuit: 5, Kind: "ack", Body: []byte("x")}.Append(nil), []byte{1, 2, 5, 3, 'a', 'c', 'k', 1, 'x'}},
		{"relay opens", Relay{Op: RelayOpen, Circuit: 5, To: "y", From: "x"}.Append(nil), []byte{1, 1, 5, 1, 'y', 1, 'x'}},
		{"load", Load{Edges: 300, Weight: 2, Members: 3, Busy: true}.Append(nil), []byte{1, 0xAC, 2, 2, 0, 0, 0, 0, 0, 0, 0, 3, 1}},
		{"move", Move{Answer: MoveStays, Name: "x", Addr: "h", Text: "no"}.Append(nil), []byte{1, 1, 1, 'x', 1, 'h', 2, 'n', 'o'}},
		{"twin", Twin{Store: 5, Life: 6, Where: "x"}.Append(nil), []byte{1, 5, 6, 1, 'x'}},
		{"edge at", EdgeAt{Edge: "b", Store: 3, Attach: 4, Lives: []uint64{5}}.Append(nil), []byte{1, 1, 'b', 3, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5}},
		{"lives", Hello{Lives: []uint64{7, 8}, Counts: 9}.appendLives(nil), []byte{13, 1, 7, 14, 8, 0, 0, 0, 0, 0, 0, 0, 8, 15, 1, 9}},
	} {
		if !bytes.Equal(e.got, e.want) {
			t.Errorf("%s: got % x, want % x", e.name, e.got, e.want)
		}
	}
}

// Cut anywhere, a frame is an error: never a panic, never half of it. HELLO may be cut between fields
// whose absence has a meaning, and an answer and a control record where the version before ended.
func TestCutAtEveryByte(t *testing.T) {
	for _, c := range frameCases(t) {
		whole := c.bytes()
		between := map[int]bool{}
		if c.name == "hello" {
			between = fieldEnds(t, whole)
		}
		if c.name == "edge at" {
			between[len([]byte{1, 1, 'b', 9, 3})] = true // as the version before wrote it
		}
		switch v := c.value.(type) {
		case Ack:
			v.Came = 0
			between[len(v.Append(nil))] = true
		case Held:
			v.Came = 0
			between[len(v.Append(nil))] = true
		}
		for n := range whole {
			if got, err := c.decode(whole[:n]); err == nil && !between[n] {
				t.Errorf("%s cut at %d of %d: got %+v, want an error", c.name, n, len(whole), got)
			}
		}
	}
}

// fieldEnds is where the fields of a HELLO end.
func fieldEnds(t *testing.T, b []byte) map[int]bool {
	ends := map[int]bool{}
	r := bytesread.New(b)
	checkVersion(&r)
	for r.Len() > 0 {
		r.Uvarint()
		r.Prefixed(r.Len())
		ends[len(b)-r.Len()] = true
	}
	if r.Err() != nil || len(ends) < 5 {
		t.Fatalf("got %d fields, %v", len(ends), r.Err())
	}
	return ends
}

// A later version may add to a frame.
func TestMoreAtTheEnd(t *testing.T) {
	for _, c := range frameCases(t) {
		if c.name == "compressed data" {
			continue // its items reach to the end
		}
		more := append(c.bytes(), 0x7F, 0)
		if got, err := c.decode(more); err != nil || !reflect.DeepEqual(got, c.value) {
			t.Errorf("%s with two more bytes: got %+v, %v, want %+v", c.name, got, err, c.value)
		}
	}
}

// A later version may add to a HELLO, at any place, and other control records.
func TestWhatIsNotKnownIsSkipped(t *testing.T) {
	want := Hello{Name: "a", Store: 1, Role: RoleEdge, Window: 1, WindowBytes: 1, MaxBytes: 1}
	b := want.Append(nil)
	later := append([]byte{b[0], 99, 3, 1, 2, 3}, b[1:]...)
	if got, err := DecodeHello(later); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("HELLO with tag 99: got %+v, %v, want %+v", got, err, want)
	}
	if _, err := DecodeEdgeAt([]byte{99, 1, 2}); err != ErrUnknownControl {
		t.Errorf("control record 99: got %v, want %v", err, ErrUnknownControl)
	}
}

func TestBounds(t *testing.T) {
	c := testCompressor(t)
	for _, e := range []struct {
		name, want string
		decode     func() error
	}{
		{"version 0", "version 0", func() error { _, err := DecodeAck([]byte{0, 1, 1, 1, 1}); return err }},
		{"too many cores", "bound", func() error { _, err := DecodeCores([]byte{1, 0xFF, 0x7F}); return err }},
		{"too many filters", "bound", func() error { _, err := DecodeInterest([]byte{1, 0, 0xFF, 0x7F}); return err }},
		{"QoS 3", "QoS 3", func() error { _, err := DecodeInterest([]byte{1, 0, 1, 3, 1, 'a'}); return err }},
		{"too many items", "bound", func() error { _, err := DecodeData([]byte{1, 0, 1, 0, 1, 0xFF, 0x7F, 0}, c); return err }},
		{"too many bytes", "bound", func() error {
			_, err := DecodeData([]byte{1, 1, 1, 0, 1, 1, 0xFF, 0xFF, 0xFF, 0x7F}, c)
			return err
		}},
		{"bytes that grow", "", func() error {
			bomb := c.enc.EncodeAll(make([]byte, 1<<20), nil)
			_, err := DecodeData(append([]byte{1, 1, 1, 0, 1, 1, 10}, bomb...), c)
			return err
		}},
		{"position runs over", "run over", func() error {
			f := Data{Lane: 1, Items: []Item{{Position: ^uint64(0)}, {Position: 3}}}
			_, err := DecodeData(f.append(nil, c), c)
			return err
		}},
		{"no name", "no name", func() error { _, err := DecodeHello(Hello{Store: 1}.Append(nil)); return err }},
		{"range", "range", func() error {
			_, err := DecodeRetained([]byte{1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 4, 1})
			return err
		}},
		{"too many parts", "bound", func() error { _, err := DecodeRetained([]byte{1, 0, 0, 0xFF, 0x7F}); return err }},
		{"too many retained", "bound", func() error { _, err := DecodeRetained([]byte{1, 0, 0, 1, 3, 0xFF, 0x1F}); return err }},
		{"part of kind 9", "kind 9", func() error { _, err := DecodeRetained([]byte{1, 0, 0, 1, 9}); return err }},
		{"role 3", "no role", func() error { _, err := DecodeHello(Hello{Name: "a", Store: 1, Role: 3}.Append(nil)); return err }},
	} {
		if err := e.decode(); err == nil || !strings.Contains(err.Error(), e.want) {
			t.Errorf("%s: got %v, want an error with %q", e.name, err, e.want)
		}
	}
}

// FuzzFrames feeds any bytes to every decoder: no panic, no more memory than the bounds allow, and what was understood
// can be written again.
func FuzzFrames(f *testing.F) {
	cases := frameCases(f)
	for _, c := range cases {
		f.Add(c.bytes())
	}
	f.Add(binary.AppendUvarint([]byte{version, dataCompressed, LaneDurable, 0, 1, 1}, 1<<29)) // a size that is not true
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range cases {
			got, err := c.decode(b)
			if made, most := sim.AllocatedBy(3, func() { _, err = c.decode(b) }), frameMemory(len(b)); made > most {
				t.Errorf("%s of %d bytes made %d bytes of allocations, want at most %d", c.name, len(b), made, most)
			}
			if err != nil {
				continue
			}
			back, err := c.decode(c.encode(got))
			if err != nil || fmt.Sprint(back) != fmt.Sprint(got) {
				t.Errorf("%s: got %+v, %v, want %+v", c.name, back, err, got)
			}
		}
	})
}

// frameMemory is what decoding n bytes may allocate: for what is compressed as much as a frame may hold, twice where it
// grows, and for each byte an entry of a list at most.
func frameMemory(n int) uint64 { return 256<<10 + 2*testFrameBytes + 128*uint64(n) }
