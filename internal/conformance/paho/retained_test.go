package paho

import (
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// The last retained message of a topic goes to new subscriptions, at the lower QoS; an empty one takes it away and goes to those who subscribe
// already. [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8]
func TestRetained(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		p := s.client("p")
		p.publish(retained(1, "r/1", "old"))
		p.publish(retained(2, "r/1", "new"))
		p.send(retained(0, "r/2", "zero"))
		p.publish(pub(1, "r/2", "not retained"))
		p.publish(retained(1, "r/3", "x"))
		p.publish(retained(1, "r/3", ""))
		p.leave()
		between(s)
		w := s.client("w")
		w.subscribe("r/1", 1)
		w.want("the last one", retained(1, "r/1", "new"))
		w.subscribe("+/2", 2)
		w.want("by a wildcard", retained(0, "r/2", "zero"))
		w.subscribe("r/3", 2)
		w.wantIdle("what was taken away")
		s.client("p").publish(retained(1, "r/1", ""))
		w.want("the empty one, to those who are there", pub(1, "r/1", ""))
		w.subscribe("r/1", 1)
		w.wantIdle("it is gone")
	})
}

// Retain Handling says when a subscription brings them. [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
func TestRetainHandling(t *testing.T) {
	script(t, func(s *server) {
		s.client("p").publish(retained(1, "t", "x"))
		w := s.client("w")
		subscribe := func(handling byte) {
			t.Helper()
			w.subscribeTo(0, paho.SubscribeOptions{Topic: "t", QoS: 1, RetainHandling: handling})
		}
		subscribe(2)
		w.wantIdle("2: never")
		subscribe(1)
		w.wantIdle("1: not when it is there already")
		subscribe(0)
		w.want("0: always", retained(1, "t", "x"))
		fresh := s.client("fresh")
		fresh.subscribeTo(0, paho.SubscribeOptions{Topic: "t", QoS: 1, RetainHandling: 1})
		fresh.want("1: when it is new", retained(1, "t", "x"))
	})
}

// RETAIN arrives as it was published for those who ask for that; for others it says that a message is an old one. [MQTT-3.3.1-12]
// [MQTT-3.3.1-13]
func TestRetainAsPublished(t *testing.T) {
	script(t, func(s *server) {
		w, plain := s.client("w"), s.client("plain")
		w.subscribeTo(0, paho.SubscribeOptions{Topic: "t", QoS: 1, RetainAsPublished: true})
		plain.subscribe("t", 1)
		p := s.client("p")
		for _, m := range []*paho.Publish{retained(1, "t", "x"), pub(1, "t", "y")} {
			p.publish(m)
			w.want("as published", m)
			plain.want("without RETAIN", pub(1, "t", string(m.Payload)))
		}
	})
}

// Retained messages expire, and what is left of the time is told. [MQTT-3.3.2-5] [MQTT-3.3.2-6]
func TestRetainedExpires(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		s.client("p").publish(expiring(retained(1, "t", "x"), 100))
		between(s)
		time.Sleep(30 * time.Second)
		s.client("w").newest(expiring(retained(1, "t", "x"), 70))
		time.Sleep(71 * time.Second)
		w := s.client("w")
		w.subscribe("t", 1)
		w.wantIdle("it has expired")
	})
}

// newest subscribes to want's topic and gets that.
func (c *client) newest(want *paho.Publish) {
	c.t.Helper()
	c.subscribe(want.Topic, want.QoS)
	c.want("retained", want)
}
