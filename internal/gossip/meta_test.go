package gossip

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawAnnouncement(t *rapid.T) announcement {
	text := rapid.StringN(0, 15, 60)
	return announcement{
		name: rapid.StringN(1, 30, 60).Draw(t, "name"), leaving: rapid.Bool().Draw(t, "leaving"), started: rapid.Int64().Draw(t, "started"),
		Meta: Meta{Role: text.Draw(t, "role"), Store: rapid.Uint64().Draw(t, "store"), Link: text.Draw(t, "link"),
			Client: text.Draw(t, "client"), HTTP: text.Draw(t, "http"), Site: text.Draw(t, "site"),
			Weight: int(rapid.Int32Min(0).Draw(t, "weight")), Protocol: [2]uint8{rapid.Byte().Draw(t, "low"), rapid.Byte().Draw(t, "high")}},
	}
}

// What was announced is understood, also with fields of a later version after it; cut anywhere it
// is refused.
func TestAnnouncementRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawAnnouncement(t)
		b, err := want.encode()
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		for _, later := range []string{"", "\x00", "\x05later and more"} {
			got, err := decodeAnnouncement(append(bytes.Clone(b), later...))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, error %v; want %+v", got, err, want)
			}
		}
		for cut := range b {
			if got, err := decodeAnnouncement(b[:cut]); err == nil {
				t.Fatalf("cut to %d of %d bytes: got %+v, want an error", cut, len(b), got)
			}
		}
	})
}

func TestAnnouncementOfAnotherLayout(t *testing.T) {
	a := announcement{name: "a"}
	b, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	b[0] = metaLayout + 1
	if _, err := decodeAnnouncement(b); err == nil || !strings.Contains(err.Error(), "layout") {
		t.Errorf("got error %v, want one about the layout", err)
	}
}

func TestLongestAnnouncement(t *testing.T) {
	a := announcement{name: "a", Meta: Meta{Role: strings.Repeat("r", 255)}}
	b, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	a.Site = strings.Repeat("s", MaxMeta-len(b))
	if b, err = a.encode(); err != nil || len(b) != MaxMeta {
		t.Errorf("got %d bytes, error %v; want %d", len(b), err, MaxMeta)
	}
	if got, err := decodeAnnouncement(b); err != nil || got != a {
		t.Errorf("got %+v, error %v; want %+v", got, err, a)
	}
	a.Site += "s"
	if _, err = a.encode(); err == nil {
		t.Errorf("got no error for %d bytes", MaxMeta+1)
	}
}

func FuzzAnnouncement(f *testing.F) {
	a := announcement{name: "a", Meta: Meta{Role: "core", Link: "127.0.0.1:1883"}}
	b, err := a.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{metaLayout})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAnnouncement(b)
		if err != nil {
			return
		}
		again, err := a.encode()
		if err != nil {
			return // longer than one may be: memberlist does not carry it
		}
		if got, err := decodeAnnouncement(again); err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("got %+v, error %v; want %+v", got, err, a)
		}
	})
}
