package mqtt

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

func wireSamples() map[string]*Message {
	props := (&packet.Properties{
		PayloadFormat: 1, ContentType: "application/json", ResponseTopic: "r/1", CorrelationData: []byte{1, 2},
		User: []packet.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
	}).Mark(packet.PropPayloadFormat).Mark(packet.PropContentType).Mark(packet.PropResponseTopic).
		Mark(packet.PropCorrelationData).Mark(packet.PropUser)
	return map[string]*Message{
		"bare":   {Topic: "a", Payload: []byte{}},
		"qos 2":  {Topic: "a/b", Payload: []byte("x"), QoS: 2, Origin: Origin{Store: 1 << 63, Seq: 77}},
		"retain": {Topic: "a/b", Payload: []byte("x"), QoS: 1, Retain: true},
		"full":   {Topic: "a/b", Payload: []byte("xyz"), QoS: 1, Retain: true, Expires: time.UnixMilli(1764000000123), Props: props},
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
