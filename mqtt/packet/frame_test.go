package packet

import (
	"errors"
	"testing"
)

func TestFrame(t *testing.T) {
	type result struct{ total, header, want int }
	for _, c := range []struct {
		why  string
		b    string
		max  uint32
		want result
		err  ReasonCode // 0 = none
	}{
		{"nothing", "", 0, result{}, 0},
		{"first byte", "\xC0", 0, result{}, 0},
		{"shortest packet", "\xC0\x00", 0, result{2, 2, 2}, 0},
		{"two packets", "\xC0\x00\xC0\x00", 0, result{2, 2, 2}, 0},
		{"length cut off", "\x30\x80\x80", 0, result{}, 0},
		{"size known", "\x30\x05ab", 0, result{0, 2, 7}, 0},
		{"greatest size known", "\x30\xFF\xFF\xFF\x7F", 0, result{0, 5, MaxRemaining + 5}, 0},
		{"length of five bytes", "\x30\xFF\xFF\xFF\xFF\x01", 0, result{}, MalformedPacket},
		{"length will have five bytes", "\x30\xFF\xFF\xFF\xFF", 0, result{}, MalformedPacket},
		{"type 0", "\x00", 0, result{}, MalformedPacket},
		{"at the bound", "\x30\x05", 7, result{0, 2, 7}, 0},
		{"above the bound", "\x30\x06", 7, result{}, PacketTooLarge},
		{"far above the bound", "\x30\xFF\xFF\xFF\x7F", 1 << 20, result{}, PacketTooLarge},
	} {
		total, header, want, err := Frame([]byte(c.b), c.max)
		if got := (result{total, header, want}); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.why, got, c.want)
		}
		var e *Error
		if errors.As(err, &e) != (c.err != 0) || e != nil && e.Reason != c.err {
			t.Errorf("%s: got error %v, want %v", c.why, err, c.err)
		}
	}
}

// A remaining length may be written long before 5.0. [MQTT-1.5.5-1]
func TestRemainingLengthInTooManyBytes(t *testing.T) {
	long := []byte{0xC0, 0x80, 0x80, 0x00}
	for _, v := range []Version{V31, V311} {
		if _, err := Read(long, v); err != nil {
			t.Errorf("version %d: got %v, want no error", v, err)
		}
	}
	checkRefusals(t, []refusal{
		{"[MQTT-1.5.5-1]", "PINGREQ", V5, long, MalformedPacket},
		{"[MQTT-1.5.5-1]", "CONNECT, which brings its own version", V311,
			append([]byte{0x10, 0x8F, 0x00}, connect5(2, 0, "id")[2:]...), MalformedPacket},
	})
}

func TestReadWantsOnePacket(t *testing.T) {
	for _, b := range []string{"", "\xC0", "\xC0\x00\x00", "\x30\x05a"} {
		if p, err := Read([]byte(b), V5); err == nil {
			t.Errorf("% x: got %v, want an error", b, p)
		}
	}
}

func TestNew(t *testing.T) {
	for kind := range Type(16) {
		p := New(kind)
		if (p == nil) != (kind == 0) || p != nil && p.Type() != kind {
			t.Errorf("New(%v): got %v", kind, p)
		}
	}
}
