package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mangrove/mqtt/packet"
)

// SUBSCRIBE gets one SUBACK with its packet id and a code for each filter, in their order: what was granted, or that it
// failed. [MQTT-2.2.1-6] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1]
// [MQTT311-2.3.1-7] [MQTT311-3.8.3-2] [MQTT311-3.8.4-1] [MQTT311-3.8.4-2] [MQTT311-3.8.4-4] [MQTT311-3.8.4-5]
// [MQTT311-3.9.3-1] [MQTT311-3.9.3-2]
func TestSuback(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w, p := s.client(v, "w"), s.client(v, "p")
		w.Write(&packet.Subscribe{PacketID: 65535, Filters: []packet.SubscribeFilter{
			{Filter: "a", QoS: 2}, {Filter: "secret", QoS: 1}, {Filter: "b/#", QoS: 0}, {Filter: "b/##"}, {Filter: "+/c", QoS: 1},
		}})
		denied, invalid := packet.NotAuthorized, packet.TopicFilterInvalid
		if v != packet.V5 {
			denied, invalid = packet.UnspecifiedError, packet.UnspecifiedError // 0x80
		}
		w.Want("SUBACK", suback(65535, 2, denied, 0, invalid, 1))
		w.WantIdle("one answer")
		p.Write(pub("a", "1"), pub("b", "2"), pub("x/c", "3"), pub("secret", "4"))
		for i, topic := range []string{"a", "b", "x/c"} {
			w.Want(topic, pub(topic, fmt.Sprint(i+1)))
		}
		w.WantIdle("what failed brings nothing")
	})
}

// The same filter again replaces the subscription: no second delivery, and nothing is lost. [MQTT-3.8.4-3] [MQTT-3.8.4-4]
// [MQTT311-3.8.4-3]
func TestSubscribeAgain(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w, p := s.client(v, "w", window(9)), s.client(v, "p")
		w.Subscribe("t", 1)
		p.Write(pubQ(1, 1, "t", "before"))
		w.Want("QoS 1", pubQ(1, 2, "t", "before"))
		w.Subscribe("t", 2)
		p.Write(pubQ(2, 2, "t", "after"))
		w.Want("QoS 2", pubQ(2, 3, "t", "after"))
		w.Subscribe("t", 0)
		p.Write(pubQ(2, 3, "t", "last"))
		w.Want("QoS 0", pub("t", "last"))
		w.Take(1, 2)
		w.Take(2, 3)
	})
}

// Subscriptions come and go while messages pass: one that is replaced misses none. [MQTT-3.8.4-4] [MQTT311-3.8.4-3]
func TestReplacingLosesNothing(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w, p := s.client(v, "w"), s.client(v, "p")
		w.Subscribe("t", 0)
		for i := range 50 {
			go w.nc.Write((&packet.Subscribe{PacketID: 7, Filters: []packet.SubscribeFilter{{Filter: "t"}}}).Append(nil, v))
			p.Write(pub("t", fmt.Sprint(i)))
			var got []string
			for m := w.next(); m != nil; m = w.next() {
				if m, ok := m.(*packet.Publish); ok {
					got = append(got, string(m.Payload))
				}
			}
			if !slices.Equal(got, []string{fmt.Sprint(i)}) {
				t.Fatalf("message %d: got %v, want it once", i, got)
			}
		}
	})
}

// What a SUBSCRIBE must be. [MQTT-2.2.1-3] [MQTT-3.8.1-1] [MQTT-3.8.3-1] [MQTT-3.8.3-2] [MQTT-3.8.3-5] [MQTT311-2.3.1-1]
// [MQTT311-3.8.1-1] [MQTT311-3.8.3-1] [MQTT311-3.8.3-3] [MQTT311-3-8.3-4]
func TestBadSubscribe(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		good := (&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "a", QoS: 1}}}).Append(nil, v)
		change := func(i int, b byte) []byte {
			bad := slices.Clone(good)
			bad[(i+len(bad))%len(bad)] = b
			return bad
		}
		empty := slices.Clone(good[:len(good)-4])
		empty[1] -= 4
		for why, b := range map[string][]byte{
			"flags": change(0, 0x80), "packet id 0": change(3, 0), "no filter": empty, "filter is no UTF-8": change(-2, 0xff),
			"QoS 3": change(-1, 3), "reserved bits": change(-1, 0xC0), "all of them": change(-1, 0xFC),
		} {
			script(t, func(s *server) {
				p := s.client(v, "p")
				p.WriteBytes(b...)
				if v != packet.V5 {
					p.WantClosed(why)
				} else if got, ok := p.next().(*packet.Disconnect); !ok || got.Reason != packet.MalformedPacket && got.Reason != packet.ProtocolError {
					t.Errorf("%s: got %+v, want DISCONNECT", why, got)
				}
			})
		}
	}
}

// [MQTT-3.8.3-3]
func TestNoLocal(t *testing.T) {
	script(t, func(s *server) {
		p, q := s.client(packet.V5, "p"), s.client(packet.V5, "q")
		p.SubscribeTo(packet.SubscribeFilter{Filter: "t", NoLocal: true, QoS: 1})
		p.Write(pub("t", "own"))
		p.WantIdle("its own")
		q.Write(pub("t", "other"))
		p.Want("another's", pub("t", "other"))
		p.SubscribeTo(packet.SubscribeFilter{Filter: "t"})
		p.Write(pub("t", "own"))
		p.Want("the option is off", pub("t", "own"))
	})
}

// Filters are compared byte for byte; UNSUBSCRIBE gets one UNSUBACK with its packet id and, in 5.0, a code for each, also
// when nothing was there. Nothing new comes after it. [MQTT-2.2.1-6] [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4]
// [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT311-2.3.1-7] [MQTT311-3.10.4-1] [MQTT311-3.10.4-2]
// [MQTT311-3.10.4-4] [MQTT311-3.10.4-5] [MQTT311-3.10.4-6]
func TestUnsuback(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w, p := s.client(v, "w"), s.client(v, "p")
		for _, f := range []string{"a/+", "a/b", "c", "#"} {
			w.Subscribe(f, 0)
		}
		none := packet.NoSubscriptionExisted
		w.Write(&packet.Unsubscribe{PacketID: 77, Filters: []string{"#", "+/+", "a/B", "c", "c", "a/+"}})
		w.Want("UNSUBACK", unsuback(77, 0, none, none, 0, none, 0))
		w.WantIdle("one answer")
		p.Write(pub("a/x", "1"), pub("c", "2"), pub("a/b", "3"))
		w.Want("the one that is left", pub("a/b", "3"))
		w.Write(&packet.Unsubscribe{PacketID: 1, Filters: []string{"never"}})
		w.Want("nothing to delete", unsuback(1, none))
	})
}

// What was begun is completed after UNSUBSCRIBE. [MQTT-3.10.4-3] [MQTT311-3.10.4-3]
func TestUnsubscribeInFlight(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w, p := s.client(v, "w"), s.client(v, "p")
		w.Subscribe("t", 2)
		p.Write(pubQ(1, 1, "t", "one"), pubQ(2, 2, "t", "two"))
		w.Want("QoS 1", pubQ(1, 2, "t", "one"))
		w.Want("QoS 2", pubQ(2, 3, "t", "two"))
		w.Write(&packet.Unsubscribe{PacketID: 1, Filters: []string{"t"}})
		w.Want("UNSUBACK", unsuback(1, 0))
		p.Write(pubQ(1, 3, "t", "later"))
		w.Take(1, 2)
		w.Take(2, 3)
	})
}

// What an UNSUBSCRIBE must be. [MQTT-2.2.1-3] [MQTT-3.10.1-1] [MQTT-3.10.3-1] [MQTT-3.10.3-2] [MQTT311-2.3.1-1]
// [MQTT311-3.10.1-1] [MQTT311-3.10.3-1] [MQTT311-3.10.3-2]
func TestBadUnsubscribe(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		good := (&packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}}).Append(nil, v)
		change := func(i int, b byte) []byte {
			bad := slices.Clone(good)
			bad[i] = b
			return bad
		}
		empty := slices.Clone(good[:len(good)-3])
		empty[1] -= 3
		for why, b := range map[string][]byte{
			"flags": change(0, 0xA0), "packet id 0": change(3, 0), "no filter": empty, "filter is no UTF-8": change(len(good)-1, 0xff),
		} {
			script(t, func(s *server) {
				p := s.client(v, "p")
				p.WriteBytes(b...)
				if v != packet.V5 {
					p.WantClosed(why)
				} else if got, ok := p.next().(*packet.Disconnect); !ok || got.Reason != packet.MalformedPacket && got.Reason != packet.ProtocolError {
					t.Errorf("%s: got %+v, want DISCONNECT", why, got)
				}
			})
		}
	}
}

// Where wildcards may stand, what they match, and that nothing is normalised. [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1]
// [MQTT-4.7.3-1] [MQTT-4.7.3-3] [MQTT-4.7.3-4] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT311-4.7.2-1] [MQTT311-4.7.3-1]
// [MQTT311-4.7.3-3] [MQTT311-4.7.3-4]
func TestTopicFilters(t *testing.T) {
	names := []string{"a", "a/", "/a", "a/b", "a//b", "A/B", "a/b/c", "$x", "$x/y", "é", "e\u0301", "\ufeffa", " a", "/", strings.Repeat("l", 65535)}
	matches := map[string]string{
		"a": "a", "a/#": "a,a/,a/b,a//b,a/b/c", "+": "a,é,e\u0301,\ufeffa, a,LONG", "a/+": "a/,a/b", "+/a": "/a", "/+": "/a,/",
		"+/+": "a/,/a,a/b,A/B,/", "a/+/b": "a//b", "$x/#": "$x,$x/y", "$x/+": "$x/y", "+/y": "", "é": "é", "e\u0301": "e\u0301",
		"\ufeffa": "\ufeffa", " a": " a", "A/+": "A/B", "#": "a,a/,/a,a/b,a//b,A/B,a/b/c,é,e\u0301,\ufeffa, a,/,LONG", "/": "/",
		strings.Repeat("l", 65535): "LONG",
	}
	eachVersion(t, func(s *server, v packet.Version) {
		p := s.client(v, "p")
		for filter, want := range matches {
			w := s.client(v, "w")
			w.Subscribe(filter, 0)
			for _, name := range names {
				p.Write(pub(name, ""))
			}
			var got []string
			for m := w.next(); m != nil; m = w.next() {
				got = append(got, strings.ReplaceAll(string(m.(*packet.Publish).Topic), names[len(names)-1], "LONG"))
			}
			if strings.Join(got, ",") != want {
				t.Errorf("filter %.20q: got %q, want %q", filter, strings.Join(got, ","), want)
			}
		}
	})
	eachVersion(t, func(s *server, v packet.Version) {
		for _, filter := range []string{"a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+", "++", "##"} {
			w := s.client(v, "w")
			w.Write(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: filter}}})
			if got, ok := w.next().(*packet.Suback); !ok || got.Reasons[0] < packet.UnspecifiedError {
				t.Errorf("filter %q: got %+v, want a refusal", filter, got)
			}
		}
		w := s.client(v, "w")
		w.Write(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: ""}}})
		if got, ok := w.next().(*packet.Suback); ok {
			t.Errorf("empty filter: got %+v, want the connection to end", got)
		}
	})
}
