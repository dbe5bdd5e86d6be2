package paho

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/extensions/topicaliases"

	"mangrove/internal/conformance/serve"
	"mangrove/mqtt/packet"
)

// All that travels with a message arrives as it was, user properties in their order, whether it went through a queue or not.
// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
func TestPropertiesArePassedOn(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		full := func(qos byte) *paho.Publish {
			format := byte(1)
			m := pub(qos, "t", "21.5")
			m.Properties = &paho.PublishProperties{
				PayloadFormat: &format, ContentType: "text/plain", ResponseTopic: "answers/1", CorrelationData: []byte{0, 1, 255},
				User: paho.UserProperties{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "1"}},
			}
			return m
		}
		w := s.client("w", fresh)
		w.subscribe("t", 2)
		for qos := range byte(3) {
			s.client("p").send(full(qos))
			w.want("connected", full(qos))
		}
		w.leave()
		s.client("p").publish(full(1))
		between(s)
		w.connect(keep)
		w.want("from a queue", full(1))
	})
}

// The time that a message has waited is taken from its expiry, and one that has expired is not delivered. [MQTT-3.3.2-5]
// [MQTT-3.3.2-6]
func TestExpiry(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		w := s.client("w", fresh)
		w.subscribe("t", 1)
		s.client("p").publish(expiring(pub(1, "t", "at once"), 100))
		w.want("at once", expiring(pub(1, "t", "at once"), 100))
		w.leave()
		p := s.client("p")
		p.publish(expiring(pub(1, "t", "short"), 10))
		p.publish(expiring(pub(1, "t", "long"), 100))
		p.publish(pub(1, "t", "for ever"))
		between(s)
		time.Sleep(40 * time.Second)
		w.connect(keep)
		w.want("what has waited 40 s", expiring(pub(1, "t", "long"), 60))
		w.want("without expiry", pub(1, "t", "for ever"))
		w.wantIdle("what has expired")
	})
}

// A message above a subscriber's Maximum Packet Size is not sent to it, and others get it. [MQTT-3.1.2-24] [MQTT-3.1.2-25]
func TestTooLargeForOne(t *testing.T) {
	script(t, func(s *server) {
		small, large := s.client("small", atMost(100)), s.client("large")
		small.subscribe("t", 1)
		large.subscribe("t", 1)
		p := s.client("p")
		p.publish(pub(1, "t", strings.Repeat("x", 200)))
		p.publish(pub(1, "t", "short"))
		large.want("the large one", pub(1, "t", strings.Repeat("x", 200)))
		large.want("the short one", pub(1, "t", "short"))
		small.want("the short one alone", pub(1, "t", "short"))
		if got := s.Metrics.Dropped("too-large").Get(); got != 1 {
			t.Errorf("got %d drops, want 1", got)
		}
	})
}

// A publisher's alias stands for its topic. [MQTT-3.3.2-12]
func TestAliasOfThePublisher(t *testing.T) {
	script(t, func(s *server) {
		w := s.client("w")
		w.subscribe("#", 0)
		aliases := topicaliases.NewTAHandler(10)
		p := s.client("p", func(a *ask) { a.config.PublishHook = aliases.PublishHook })
		for range 3 {
			for _, topic := range []string{"a/long/topic", "another/one"} {
				p.send(pub(0, topic, "x"))
				w.want("its whole name", pub(0, topic, "x"))
			}
		}
	})
}

// The server gives aliases to those who take some, no more than they allow. [MQTT-3.1.2-26] [MQTT-3.1.2-27]
func TestAliasOfTheServer(t *testing.T) {
	t.Parallel()
	for most := range uint16(3) {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			script(t, func(s *server) {
				names := map[uint16]string{}
				w := s.client("w", func(a *ask) { a.Properties.TopicAliasMaximum = &most })
				w.subscribe("#", 0)
				p := s.client("p")
				for _, letter := range "aabcabcc" {
					topic := strings.Repeat(string(letter), 20) // worth an alias
					p.send(pub(0, topic, "x"))
					m := w.next("a message")
					got := m.Topic
					if m.Properties.TopicAlias != nil {
						alias := *m.Properties.TopicAlias
						if alias == 0 || alias > most {
							t.Errorf("got alias %d, want 1 to %d", alias, most)
						}
						if got != "" {
							names[alias] = got
						}
						got = names[alias]
					}
					if got != topic {
						t.Errorf("got topic %q, want %q", got, topic)
					}
				}
				if most > 0 && len(names) == 0 {
					t.Errorf("got no alias with a maximum of %d, want some", most)
				}
			})
		})
	}
}

// A publish that is not permitted, or not possible, is answered so; the connection stays. [MQTT-3.4.2-1] [MQTT-3.5.2-1]
func TestPublishIsRefused(t *testing.T) {
	script(t, func(s *server) {
		p := s.client("p")
		for qos := byte(1); qos <= 2; qos++ {
			if got := p.publish(pub(qos, serve.Closed, "x")); got != packet.NotAuthorized {
				t.Errorf("QoS %d: got %v, want not authorized", qos, got)
			}
			if got := p.publish(pub(qos, "$SYS/broker/uptime", "x")); got < 0x80 {
				t.Errorf("QoS %d to $SYS: got %v, want a refusal", qos, got)
			}
		}
		p.wantIdle("it stays connected")
	})
}

// A name with a wildcard is no topic to publish to. [MQTT-3.3.2-2]
func TestPublishToNoTopic(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{"a/+", "#"} {
		t.Run(topic, func(t *testing.T) {
			script(t, func(s *server) {
				p := s.client("p")
				p.send(pub(0, topic, "x"))
				p.wantGone("publish to "+topic, packet.MalformedPacket)
			})
		})
	}
}
