package wire

import (
	"slices"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// PUBLISH is answered as its QoS asks, with its packet id, and goes out with the lower of its QoS and that granted;
// QoS 0 has no packet id. [MQTT-2.2.1-2] [MQTT-2.2.1-5] [MQTT-3.3.4-1] [MQTT-3.8.4-8] [MQTT-4.3.1-1] [MQTT-4.3.2-2]
// [MQTT-4.3.2-4] [MQTT-4.3.3-2] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT311-2.3.1-5] [MQTT311-2.3.1-6] [MQTT311-3.3.4-1]
// [MQTT311-3.8.4-6] [MQTT311-4.3.1-1] [MQTT311-4.3.2-1] [MQTT311-4.3.2-2] [MQTT311-4.3.3-1] [MQTT311-4.3.3-2]
func TestQoS(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		for _, granted := range []byte{0, 1, 2} {
			w, p := s.client(v, "w"), s.client(v, "p")
			w.Subscribe("t", granted)
			id := uint16(1)
			for _, sent := range []byte{0, 1, 2} {
				p.Write(pubQ(sent, 1000+uint16(sent), "t", "x"))
				switch sent {
				case 1:
					p.Want("PUBACK", ack(packet.PUBACK, 1001, 0))
				case 2:
					p.Want("PUBREC", ack(packet.PUBREC, 1002, 0))
					p.Write(ack(packet.PUBREL, 1002, 0))
					p.Want("PUBCOMP", ack(packet.PUBCOMP, 1002, 0))
				}
				p.WantIdle("answered once")
				qos := min(sent, granted)
				if qos > 0 {
					id++
				}
				w.Want("delivery", pubQ(qos, id, "t", "x"))
				w.Take(qos, id)
			}
		}
	})
}

// Take acknowledges a message.
func (p *peer) Take(qos byte, id uint16) {
	p.t.Helper()
	switch qos {
	case 1:
		p.Write(ack(packet.PUBACK, id, 0))
	case 2:
		p.Write(ack(packet.PUBREC, id, 0))
		p.Want("PUBREL", ack(packet.PUBREL, id, 0))
		p.Write(ack(packet.PUBCOMP, id, 0))
	}
	p.WantIdle("acknowledged")
}

// DUP coming in says nothing about DUP going out. [MQTT-3.3.1-3] [MQTT311-3.3.1-3]
func TestDupIsNotPassedOn(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w, p := s.client(v, "w"), s.client(v, "p")
		w.Subscribe("t", 2)
		p.Write(dup(pubQ(1, 7, "t", "x")), dup(pubQ(2, 8, "t", "y")))
		w.Want("QoS 1", pubQ(1, 2, "t", "x"))
		w.Want("QoS 2", pubQ(2, 3, "t", "y"))
	})
}

// There is no QoS 3, and no QoS 0 sent again. [MQTT-3.3.1-2] [MQTT-3.3.1-4] [MQTT311-3.3.1-2] [MQTT311-3.3.1-4]
func TestPublishFlags(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		script(t, func(s *server) {
			for _, first := range []byte{0x36, 0x38} {
				p := s.client(v, "p")
				b := pubQ(1, 1, "t", "x").Append(nil, v)
				if b[0] = first; first == 0x38 {
					b = pub("t", "x").Append(nil, v)
					b[0] = first
				}
				p.WriteBytes(b...)
				p.WantGone("flags", packet.MalformedPacket)
			}
		})
	}
}

// What is retained, and what a subscription brings of it. [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8]
// [MQTT-3.3.1-9] [MQTT-3.3.1-12] [MQTT311-3.3.1-5] [MQTT311-3.3.1-6] [MQTT311-3.3.1-7] [MQTT311-3.3.1-8]
// [MQTT311-3.3.1-9] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11] [MQTT311-3.3.1-12]
func TestRetain(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		live, p := s.client(v, "live"), s.client(v, "p")
		live.Subscribe("t", 2)
		late := func(why string, want *packet.Publish) {
			t.Helper()
			q := s.client(v, "late")
			q.Subscribe("t", 2)
			if want != nil {
				q.Want(why, want)
			}
			q.WantIdle(why)
			q.Leave()
		}
		first := pubQ(1, 1, "t", "1")
		first.Retain = true
		p.Write(first)
		p.Want("PUBACK", received(1, 1))
		live.Want("RETAIN is not for the established subscription", pubQ(1, 2, "t", "1"))
		first.PacketID = 2
		late("its QoS is stored too", first)

		p.Write(pub("t", "2"))
		live.Want("not to be retained", pub("t", "2"))
		late("what there was stays", first)

		p.Write(retained("t", "3"))
		live.Want("to be retained", pub("t", "3"))
		late("QoS 0 replaces", retained("t", "3"))

		p.Write(retained("t", ""))
		live.Want("an empty message is a message", pub("t", ""))
		late("and removes", nil)
	})
}

// Retained messages outlive the session of who published them, and the server. [MQTT311-3.1.2-7]
func TestRetainedOutlive(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		p := s.client(v, "p")
		p.Write(retained("t", "x"))
		p.Bye()
		time.Sleep(time.Hour)
		s.Restart()
		w := s.client(v, "w")
		w.Subscribe("+", 0)
		w.Want("retained", retained("t", "x"))
	})
}

// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4] [MQTT311-3.8.4-3]
func TestRetainHandling(t *testing.T) {
	script(t, func(s *server) {
		p, w := s.client(packet.V5, "p"), s.client(packet.V5, "w")
		p.Write(retained("t", "x"))
		for _, step := range []struct {
			why      string
			filter   string
			handling byte
			sent     bool
		}{
			{"0, new", "t", 0, true}, {"0 again", "t", 0, true},
			{"1, not new", "t", 1, false}, {"1, new", "+", 1, true}, {"1 again", "+", 1, false},
			{"2, new", "#", 2, false}, {"2 again", "#", 2, false}, {"0 after 2", "#", 0, true},
		} {
			w.SubscribeTo(packet.SubscribeFilter{Filter: step.filter, RetainHandling: step.handling})
			if step.sent {
				w.Want(step.why, retained("t", "x"))
			}
			w.WantIdle(step.why)
		}
		old := s.client(packet.V311, "old")
		for range 2 {
			old.Subscribe("t", 0)
			old.Want("3.1.1: again", retained("t", "x"))
		}
	})
}

// [MQTT-3.3.1-12] [MQTT-3.3.1-13]
func TestRetainAsPublished(t *testing.T) {
	script(t, func(s *server) {
		p, as, not := s.client(packet.V5, "p"), s.client(packet.V5, "as"), s.client(packet.V5, "not")
		as.SubscribeTo(packet.SubscribeFilter{Filter: "t", RetainAsPublished: true})
		not.SubscribeTo(packet.SubscribeFilter{Filter: "t"})
		p.Write(retained("t", "1"), pub("t", "2"))
		as.Want("as published", retained("t", "1"))
		as.Want("as published", pub("t", "2"))
		not.Want("0", pub("t", "1"))
		not.Want("0", pub("t", "2"))
	})
}

// The topic sent is the topic published. [MQTT-3.3.2-3] [MQTT311-3.3.2-3]
func TestTopicSent(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		p, w := s.client(v, "p"), s.client(v, "w")
		w.Subscribe("a/+/c", 0)
		for _, topic := range []string{"a/b/c", "a/c", "a/ä b/c", "a//c", "a/b/c/d", "A/b/c"} {
			p.Write(pub(topic, "x"))
		}
		for _, topic := range []string{"a/b/c", "a/ä b/c", "a//c"} {
			w.Want(topic, pub(topic, "x"))
		}
		w.WantIdle("the others do not match")
	})
}

// A topic name is a UTF-8 string of at least one character without wildcards. [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.0-1]
// [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT311-3.3.2-1] [MQTT311-3.3.2-2] [MQTT311-4.7.1-1] [MQTT311-4.7.3-1] [MQTT311-4.7.3-2]
func TestBadTopicNames(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		script(t, func(s *server) {
			w := s.client(v, "w")
			w.Subscribe("#", 0)
			for _, topic := range []string{"", "a/+", "#", "a/#", "a+b", "a\x00b", "\xff", "\xed\xa0\x80"} {
				p := s.client(v, "p")
				p.Write(pub(topic, "x"))
				if v != packet.V5 {
					p.WantClosed(topic)
				} else if got, ok := p.next().(*packet.Disconnect); !ok || got.Reason < packet.UnspecifiedError {
					t.Errorf("topic %q: got %+v, want DISCONNECT with an error", topic, got)
				}
			}
			w.WantIdle("nothing gets through")
		})
	}
}

// props are properties that travel with a message.
func props() *packet.Properties {
	return (&packet.Properties{
		PayloadFormat: 1, ContentType: "text/plain", ResponseTopic: "answers", CorrelationData: []byte{0, 255},
		User: []packet.UserProperty{{Name: "z", Value: "1"}, {Name: "a", Value: ""}, {Name: "z", Value: "1"}, {Name: "", Value: "x"}},
	}).Mark(packet.PropPayloadFormat).Mark(packet.PropContentType).Mark(packet.PropResponseTopic).
		Mark(packet.PropCorrelationData).Mark(packet.PropUser)
}

// What a message carries arrives as it is, at once, from the queue, and retained. [MQTT-3.3.2-4] [MQTT-3.3.2-15]
// [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
func TestPropertiesTravel(t *testing.T) {
	script(t, func(s *server) {
		p, live, old := s.client(packet.V5, "p"), s.client(packet.V5, "live"), s.client(packet.V311, "old")
		away := s.client(packet.V5, "away", fresh)
		for _, q := range []*peer{live, old, away} {
			q.Subscribe("t", 1)
		}
		away.Leave()
		m := with(pubQ(1, 1, "t", "x"), props())
		m.Retain = true
		p.Write(m)
		p.Want("PUBACK", received(1, 1))
		live.Want("live", with(pubQ(1, 2, "t", "x"), props()))
		old.Want("3.1.1 knows none", pubQ(1, 2, "t", "x"))
		s.Restart()
		s.client(packet.V5, "away", keep).Want("queued", with(pubQ(1, 2, "t", "x"), props()))
		late := s.client(packet.V5, "late")
		late.Subscribe("t", 1)
		m.PacketID = 2
		late.Want("retained", m)
	})
}

// [MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19] [MQTT-1.5.7-1]
func TestBadProperties(t *testing.T) {
	script(t, func(s *server) {
		for why, p := range map[string]*packet.Properties{
			"response topic with a wildcard":   (&packet.Properties{ResponseTopic: "a/+"}).Mark(packet.PropResponseTopic),
			"response topic that is no UTF-8":  (&packet.Properties{ResponseTopic: "\xff"}).Mark(packet.PropResponseTopic),
			"content type that is no UTF-8":    (&packet.Properties{ContentType: "\xff"}).Mark(packet.PropContentType),
			"content type with U+0000":         (&packet.Properties{ContentType: "\x00"}).Mark(packet.PropContentType),
			"user property that is no UTF-8":   (&packet.Properties{User: []packet.UserProperty{{Name: "a", Value: "\xff"}}}).Mark(packet.PropUser),
			"user property with U+0000 before": (&packet.Properties{User: []packet.UserProperty{{Name: "\x00"}}}).Mark(packet.PropUser),
		} {
			q := s.client(packet.V5, "p")
			q.Write(with(pub("t", "x"), p))
			if got, ok := q.next().(*packet.Disconnect); !ok || got.Reason < packet.UnspecifiedError {
				t.Errorf("%s: got %+v, want DISCONNECT with an error", why, got)
			}
		}
	})
}

func expiring(p *packet.Publish, seconds uint32) *packet.Publish {
	return with(p, (&packet.Properties{MessageExpiry: seconds}).Mark(packet.PropMessageExpiry))
}

// A message has what is left of its expiry, and none when that is over. [MQTT-3.3.2-5] [MQTT-3.3.2-6]
func TestMessageExpiry(t *testing.T) {
	script(t, func(s *server) {
		p, away := s.client(packet.V5, "p"), s.client(packet.V5, "away", fresh)
		away.Subscribe("t", 1)
		away.Leave()
		for i, seconds := range []uint32{10, 100, 5} {
			p.Write(expiring(pubQ(1, uint16(i+1), "t", "x"), seconds))
			p.Want("PUBACK", received(1, uint16(i+1)))
		}
		p.Write(func() packet.Packet { m := expiring(retained("r", "x"), 30); return m }())
		time.Sleep(20 * time.Second)
		away = s.client(packet.V5, "away", keep)
		got, ok := away.next().(*packet.Publish)
		if !ok || got.Props == nil || got.Props.MessageExpiry != 80 {
			t.Fatalf("got %+v, want the message with 80 s left", got)
		}
		away.WantIdle("the others are over")
		away.Subscribe("r", 0)
		away.Want("retained", expiring(retained("r", "x"), 10))
		time.Sleep(11 * time.Second)
		away.Subscribe("r", 0)
		away.WantIdle("retained no longer")
	})
}

func alias(n uint16, topic, payload string) *packet.Publish {
	return with(pub(topic, payload), (&packet.Properties{TopicAlias: n}).Mark(packet.PropTopicAlias))
}

// A client's topic aliases: every one up to the maximum, for this connection. [MQTT-3.2.2-17] [MQTT-3.2.2-18]
// [MQTT-3.3.2-7] [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-12]
func TestTopicAliasesOfTheClient(t *testing.T) {
	script(t, func(s *server) {
		w, p := s.client(packet.V311, "w"), s.peer(packet.V5)
		w.Subscribe("#", 0)
		most := p.connect("p", fresh).Props.TopicAliasMaximum
		if most == 0 {
			t.Fatal("got no topic aliases, want some")
		}
		for n := uint16(1); n <= most; n++ {
			p.Write(alias(n, "t", "set"), alias(n, "", "used"))
			w.Want("set", pub("t", "set"))
			w.Want("used", pub("t", "used"))
		}
		p.Leave()
		p = s.client(packet.V5, "p", keep)
		p.Write(alias(1, "", "of the last connection"))
		p.WantGone("not carried forward", packet.ProtocolError)
		for _, n := range []uint16{0, most + 1} {
			p = s.client(packet.V5, "p")
			p.Write(alias(n, "t", "x"))
			p.WantGone("not allowed", packet.TopicAliasInvalid)
		}
		w.WantIdle("nothing more gets through")
	})
}

// The server's topic aliases stay within the client's maximum, mean what was set on the same connection, and are none for
// clients that take none. [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-7] [MQTT-3.3.2-8] [MQTT-3.3.2-11]
func TestTopicAliasesOfTheServer(t *testing.T) {
	script(t, func(s *server) {
		p := s.client(packet.V5, "p")
		takes := func(n uint16) how {
			return func(c *packet.Connect) {
				set(c, packet.PropTopicAliasMaximum, func(p *packet.Properties) { p.TopicAliasMaximum = n })
			}
		}
		for _, w := range []struct {
			how  how
			most int
		}{{func(*packet.Connect) {}, 0}, {takes(0), 0}, {takes(2), 2}, {takes(2), 2}, {takes(65535), 65535}} {
			q := s.client(packet.V5, "w", w.how)
			q.Subscribe("#", 0)
			names, used := map[uint16]string{}, 0
			for range 3 {
				for _, topic := range []string{"long/a", "long/b", "long/c", "long/c", "long/d"} {
					p.Write(pub(topic, "x"))
					got := q.next().(*packet.Publish)
					used += checkAlias(t, names, got, topic, w.most)
				}
			}
			if (w.most == 0) != (used == 0) {
				t.Errorf("maximum %d: got %d aliases used", w.most, used)
			}
			q.Leave()
		}
	})
}

// checkAlias resolves the topic of m and tells whether an alias saved it.
func checkAlias(t *testing.T, names map[uint16]string, m *packet.Publish, want string, most int) (used int) {
	t.Helper()
	name := string(m.Topic)
	if m.Props.Has(packet.PropTopicAlias) {
		n := m.Props.TopicAlias
		if n == 0 || int(n) > most {
			t.Fatalf("got topic alias %d, want at most %d", n, most)
		}
		if name == "" {
			name, used = names[n], 1
		}
		names[n] = name
	}
	if name != want {
		t.Fatalf("got topic %q, want %q", name, want)
	}
	return used
}

// Overlapping subscriptions give one message, with the highest QoS and all their identifiers. [MQTT-3.3.4-2]
// [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT311-3.3.5-1]
func TestOverlap(t *testing.T) {
	filters := []string{"a/#", "a/b", "+/b", "+/+"}
	eachVersion(t, func(s *server, v packet.Version) {
		for highest := range filters {
			w, p := s.client(v, "w"), s.client(v, "p")
			for i, f := range filters {
				qos := byte(i % 2)
				if i == highest {
					qos = 2
				}
				req := &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: f, QoS: qos}}}
				if i < 3 {
					req.Props = (&packet.Properties{SubscriptionIDs: []uint32{uint32(i + 1)}}).Mark(packet.PropSubscriptionID)
				}
				w.Write(req)
				w.Want("SUBACK", suback(1, packet.ReasonCode(qos)))
			}
			p.Write(pubQ(2, 1, "a/b", "x"))
			got, ok := w.next().(*packet.Publish)
			if !ok || got.QoS != 2 {
				t.Fatalf("QoS 2 for %s: got %+v, want it with QoS 2", filters[highest], got)
			}
			w.WantIdle("once")
			if v != packet.V5 {
				continue
			}
			ids := slices.Sorted(slices.Values(got.Props.SubscriptionIDs))
			if !slices.Equal(ids, []uint32{1, 2, 3}) {
				t.Errorf("got identifiers %v, want 1, 2, 3", ids)
			}
		}
	})
}

// [MQTT-3.3.4-6]
func TestSubscriptionIdentifierFromClient(t *testing.T) {
	script(t, func(s *server) {
		p := s.client(packet.V5, "p")
		p.Write(with(pub("t", "x"), (&packet.Properties{SubscriptionIDs: []uint32{1}}).Mark(packet.PropSubscriptionID)))
		p.WantGone("identifier", packet.ProtocolError)
	})
}

// What a client may not publish is refused in 5.0; before, it is acknowledged. [MQTT311-3.3.5-2]
func TestPublishDenied(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w, p := s.client(v, "w"), s.client(v, "p")
		w.Subscribe("#", 0)
		p.Write(pub("secret", "x"), pubQ(1, 1, "secret", "x"), pubQ(2, 2, "secret", "x"))
		p.Want("PUBACK", ack(packet.PUBACK, 1, packet.NotAuthorized))
		p.Want("PUBREC", ack(packet.PUBREC, 2, packet.NotAuthorized))
		w.WantIdle("nothing gets through")
	})
}
