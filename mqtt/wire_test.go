package mqtt

import (
	"bytes"
	"cmp"
	"reflect"
	"testing"
	"time"

	"mangrove/internal/hlc"
	"mangrove/mqtt/packet"
)

func wireSamples() map[string]*Message {
	props := (&packet.Properties{
		PayloadFormat: 1, ContentType: "application/json", ResponseTopic: "r/1", CorrelationData: []byte{1, 2},
		User: []packet.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
	}).Mark(packet.PropPayloadFormat).Mark(packet.PropContentType).Mark(packet.PropResponseTopic).
		Mark(packet.PropCorrelationData).Mark(packet.PropUser)
	return map[string]*Message{
		"bare":    {Topic: "a", Payload: []byte{}},
		"qos 2":   {Topic: "a/b", Payload: []byte("x"), QoS: 2, Origin: Origin{Life: 1 << 63, Seq: 77}},
		"retain":  {Topic: "a/b", Payload: []byte("x"), QoS: 1, Retain: true},
		"version": {Topic: "a/b", Payload: []byte{}, QoS: 1, Retain: true, Version: 0xFEDCBA987654321, Origin: Origin{Life: 5, Seq: 6}},
		"full":    {Version: 77, Topic: "a/b", Payload: []byte("xyz"), QoS: 1, Retain: true, Expires: time.UnixMilli(1764000000123), Props: props},
	}
}

func TestMessageRoundTrip(t *testing.T) {
	for name, want := range wireSamples() {
		b := AppendMessage(nil, want)
		got, rest, err := DecodeMessage(append(b, "next"...))
		if err != nil {
			t.Errorf("%s: got error %v, want none", name, err)
			continue
		}
		if string(rest) != "next" {
			t.Errorf("%s: got rest %q, want %q", name, rest, "next")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestDecodeMessageCutAtEveryByte(t *testing.T) {
	for name, m := range wireSamples() {
		b := AppendMessage(nil, m)
		for n := range len(b) {
			if _, _, err := DecodeMessage(b[:n]); err == nil {
				t.Errorf("%s cut at byte %d of %d: got no error", name, n, len(b))
			}
		}
	}
}

// Over a link a deadline is what is left of it, whatever the clocks at both ends show.
func TestLinkForm2CarriesTimeLeft(t *testing.T) {
	for name, m := range wireSamples() {
		here := time.UnixMilli(1764000000000)
		there := here.Add(-10 * 24 * time.Hour)
		rest := AppendMessage(nil, m)
		sent := LinkForm2.Recode([]byte("x"), rest, m.Expires, here)
		got, more, err := DecodeLinkMessage(sent[1:], there)
		if err != nil || len(more) != 0 {
			t.Fatalf("%s: got %v, %d bytes left", name, err, len(more))
		}
		want := *m
		if !m.Expires.IsZero() {
			want.Expires = there.Add(m.Expires.Sub(here))
		}
		if !reflect.DeepEqual(got, &want) {
			t.Errorf("%s: got %+v, want %+v", name, got, &want)
		}
		if _, _, err := DecodeMessage(sent[1:]); (err != nil) != (sent[1]&wireLeft != 0) {
			t.Errorf("%s at rest: got %v", name, err)
		}
		for n := range len(sent) - 1 {
			if _, _, err := DecodeLinkMessage(sent[1:1+n], there); err == nil {
				t.Errorf("%s cut at byte %d: got no error", name, n)
			}
		}
	}
}

// A node of the version before gets what it knows: no version, and the deadline by the sender's clock as it is now.
func TestLinkForm1(t *testing.T) {
	for name, m := range wireSamples() {
		now, expires := time.UnixMilli(1764000000000), m.Expires
		if !expires.IsZero() {
			expires = now.Add(time.Minute) // the clock was set since
		}
		sent := LinkForm1.Recode(nil, AppendMessage(nil, m), expires, now)
		want := *m
		want.Version, want.Expires = 0, expires
		if got, _, err := DecodeMessage(sent); err != nil || sent[0] > 0x1F || !reflect.DeepEqual(got, &want) {
			t.Errorf("%s: got %+v, %v, flags %x, want %+v", name, got, err, sent[0], &want)
		}
	}
}

// What is no message is passed on, for who reads it to refuse.
func TestRecodeOfDamagedBytes(t *testing.T) {
	for name, m := range wireSamples() {
		b := AppendMessage(nil, m)
		for n := range b {
			for _, f := range []LinkForm{LinkForm1, LinkForm2} {
				if _, _, err := DecodeLinkMessage(f.Recode(nil, b[:n], time.Now(), time.Now()), time.Now()); err == nil {
					t.Errorf("%s cut at byte %d of %d: got no error", name, n, len(b))
				}
			}
		}
	}
}

// A version that leaves no room for a later one does not come in: its topic could never be replaced.
func TestVersionFromTheFarFuture(t *testing.T) {
	now := time.UnixMilli(1764000000000)
	for version, ok := range map[hlc.Time]bool{hlc.At(now.UnixMilli()): true, hlc.At(now.AddDate(900, 0, 0).UnixMilli()): true, 1<<63 - 1: false} {
		b := AppendMessage(nil, &Message{Topic: "t", Origin: Origin{Life: 1, Seq: 1}, Retain: true, Version: version})
		if _, _, err := DecodeLinkMessage(b, now); (err == nil) != ok {
			t.Errorf("version %x: got %v, want it taken: %v", uint64(version), err, ok)
		}
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	rising := []Version{{}, {Time: 1}, {Time: 2, Origin: Origin{Life: 1}}, {2, Origin{1, 5}}, {2, Origin{3, 1}}, {Time: 3}}
	for i, v := range rising {
		for j, o := range rising {
			if got, want := v.Compare(o), cmp.Compare(i, j); got != want {
				t.Errorf("%v against %v: got %d, want %d", v, o, got, want)
			}
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, m := range wireSamples() {
		f.Add(AppendMessage(nil, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, rest, err := DecodeMessage(b)
		if err != nil {
			return
		}
		again, more, err := DecodeMessage(append(AppendMessage(nil, m), rest...))
		if err != nil || !bytes.Equal(more, rest) || !reflect.DeepEqual(again, m) {
			t.Fatalf("got %+v then %+v (%v), want the same", m, again, err)
		}
	})
}
