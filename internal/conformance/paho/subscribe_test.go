package paho

import (
	"context"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"mangrove/internal/conformance/serve"
)

// SUBACK and UNSUBACK have a reason for each filter, in order. [MQTT-3.8.4-1] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-3.11.3-1]
func TestReasonsInOrder(t *testing.T) {
	script(t, func(s *server) {
		c := s.client("c")
		got := c.suback(&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
			{Topic: "a", QoS: 2}, {Topic: serve.Closed, QoS: 1}, {Topic: "b/#", QoS: 0}, {Topic: "+/c", QoS: 1},
		}})
		if want := []byte{2, 0x87, 0, 1}; !slices.Equal(got, want) {
			t.Errorf("SUBACK: got %v, want %v", got, want)
		}
		ack, err := c.Unsubscribe(context.Background(), &paho.Unsubscribe{Topics: []string{"a", "never", "+/c"}})
		if err != nil {
			t.Fatal(err)
		}
		if want := []byte{0, 0x11, 0}; !slices.Equal(ack.Reasons, want) {
			t.Errorf("UNSUBACK: got %v, want %v", ack.Reasons, want)
		}
	})
}

// Subscriptions that overlap bring a message once, at their highest QoS. Section 3.3.4.
func TestOverlap(t *testing.T) {
	script(t, func(s *server) {
		w := s.client("w")
		w.subscribe("a/+", 0)
		w.subscribe("a/#", 2)
		w.subscribe("a/b", 1)
		p := s.client("p")
		p.publish(pub(2, "a/b", "x"))
		w.want("once", pub(2, "a/b", "x"))
		p.publish(pub(2, "a/b/c", "y"))
		w.want("what one of them matches", pub(2, "a/b/c", "y"))
		w.wantIdle("no copies")
	})
}

// A subscription with the filter of another takes its place. [MQTT-3.8.4-3]
func TestSubscriptionIsReplaced(t *testing.T) {
	script(t, func(s *server) {
		w := s.client("w")
		w.subscribe("t", 2)
		w.subscribe("t", 0)
		s.client("p").publish(pub(2, "t", "x"))
		w.want("at the QoS of the second", pub(0, "t", "x"))
		w.wantIdle("once")
	})
}

// Nothing comes after UNSUBSCRIBE, and other filters that match are no matter. [MQTT-3.10.4-1] [MQTT-3.10.4-2]
func TestUnsubscribe(t *testing.T) {
	script(t, func(s *server) {
		w := s.client("w")
		w.subscribe("t/#", 1)
		w.subscribe("t/1", 1)
		p := s.client("p")
		gone := func(filter string) {
			t.Helper()
			if _, err := w.Unsubscribe(context.Background(), &paho.Unsubscribe{Topics: []string{filter}}); err != nil {
				t.Fatal(err)
			}
		}
		gone("t/1")
		p.publish(pub(1, "t/1", "x"))
		w.want("through the other one", pub(1, "t/1", "x"))
		gone("t/#")
		p.publish(pub(1, "t/1", "y"))
		w.wantIdle("through none")
	})
}

// Subscriptions belong to the session. [MQTT-3.1.2-5] [MQTT-4.5.0-1]
func TestSubscriptionsAreKept(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		w := s.client("w", fresh)
		w.subscribeTo(7, paho.SubscribeOptions{Topic: "t/+", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2})
		w.leave()
		between(s)
		w.connect(keep)
		w.publish(pub(1, "t/1", "own"))
		want := retained(1, "t/1", "x")
		s.client("p").publish(want)
		want.Properties = &paho.PublishProperties{SubscriptionIdentifier: new(int)}
		*want.Properties.SubscriptionIdentifier = 7
		w.want("with all its options", want)
		w.wantIdle("not its own")
	})
}

// No Local keeps a client's own messages from it, by its client id. [MQTT-3.8.3-3]
func TestNoLocal(t *testing.T) {
	script(t, func(s *server) {
		w, other := s.client("w"), s.client("other")
		w.subscribeTo(0, paho.SubscribeOptions{Topic: "t", QoS: 1, NoLocal: true})
		w.publish(pub(1, "t", "own"))
		other.publish(pub(1, "t", "another's"))
		w.want("another's", pub(1, "t", "another's"))
		w.wantIdle("its own")
	})
}

// A message carries the identifier of the subscription it came for; the library keeps one. Section 3.3.2.3.8.
func TestSubscriptionIdentifier(t *testing.T) {
	script(t, func(s *server) {
		w := s.client("w")
		for id, filter := range map[int]string{1: "a", 268_435_455: "b", 300: "c"} {
			w.subscribeTo(id, paho.SubscribeOptions{Topic: filter})
			s.client("p").send(pub(0, filter, "x"))
			want := pub(0, filter, "x")
			want.Properties = &paho.PublishProperties{SubscriptionIdentifier: &id}
			w.want("with its identifier", want)
		}
		w.subscribe("b", 0)
		s.client("p").send(pub(0, "b", "x"))
		w.want("replaced by one without", pub(0, "b", "x"))
	})
}

// Wildcards at the beginning do not match topics that begin with $. [MQTT-4.7.2-1]
func TestWildcards(t *testing.T) {
	script(t, func(s *server) {
		w, p := s.client("w"), s.client("p")
		w.subscribe("#", 0)
		w.subscribe("+/x", 0)
		p.publish(pub(1, "$own/x", "hidden"))
		w.wantIdle("a topic that begins with $")
		for _, topic := range []string{"x", "/", "a/x", "/x", "a//b"} {
			p.send(pub(0, topic, "x"))
			w.want("matched by #", pub(0, topic, "x"))
		}
		level := s.client("level")
		level.subscribe("a/+", 0)
		for _, topic := range []string{"a", "a/b/c", "a/b"} {
			p.send(pub(0, topic, "x"))
		}
		level.want("one level", pub(0, "a/b", "x"))
		level.wantIdle("+ is one level, no more and no less")
		dollar := s.client("dollar")
		dollar.subscribe("$own/#", 0)
		p.publish(pub(1, "$own/x", "asked for"))
		dollar.want("named", pub(0, "$own/x", "asked for"))
	})
}
