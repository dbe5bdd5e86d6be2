package paho

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"mangrove/mqtt/packet"
)

// Every QoS of a publisher meets every QoS of a subscriber: the lower one counts. [MQTT-3.8.4-8]
func TestQoS(t *testing.T) {
	script(t, func(s *server) {
		p := s.client("p")
		for granted := range byte(3) {
			w := s.client(fmt.Sprint("w", granted))
			w.subscribe("t", granted)
			for published := range byte(3) {
				p.send(pub(published, "t", fmt.Sprint(published)))
				w.want("the lower QoS", pub(min(granted, published), "t", fmt.Sprint(published)))
			}
			w.bye(paho.Disconnect{})
		}
	})
}

// PUBACK says that nobody subscribes (section 3.4.2.1); of QoS 2 the library tells the end alone.
func TestNobodySubscribes(t *testing.T) {
	script(t, func(s *server) {
		p := s.client("p")
		if got := p.publish(pub(1, "t", "x")); got != packet.NoMatchingSubscribers {
			t.Errorf("got %v, want no matching subscribers", got)
		}
		s.client("w").subscribe("t", 0)
		if got := p.publish(pub(1, "t", "x")); got != packet.Success {
			t.Errorf("with a subscriber: got %v, want success", got)
		}
	})
}

// What a subscriber has not acknowledged comes again on its next connection, in the order of the first time and marked as
// sent before, and what it never got comes after. [MQTT-3.3.1-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.6.0-5]
func TestUnacknowledgedComesAgain(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		w := s.client("w", fresh, byHand, window(3))
		w.subscribe("t", 2)
		p := s.client("p")
		for i, qos := range []byte{1, 2, 1, 2, 1} {
			p.publish(pub(qos, "t", fmt.Sprint(i)))
		}
		first := w.want("within the window", pub(1, "t", "0"))
		w.want("within the window", pub(2, "t", "1"))
		w.want("within the window", pub(1, "t", "2"))
		w.wantIdle("the window is full")
		w.take(first)
		w.want("an acknowledgement makes room", pub(2, "t", "3"))
		w.leave()
		between(s)
		w.connect(keep)
		w.wantAgain("in order", pub(2, "t", "1"))
		w.wantAgain("in order", pub(1, "t", "2"))
		w.wantAgain("in order", pub(2, "t", "3"))
		w.want("for the first time", pub(1, "t", "4"))
		w.wantIdle("what was acknowledged does not come")
	})
}

// A QoS 2 message whose PUBREC or PUBCOMP is lost is published once. [MQTT-4.3.3-2] [MQTT-4.3.3-8] [MQTT-4.3.3-10]
// [MQTT-4.3.3-12] [MQTT-4.4.0-1]
func TestQoS2IsOnceForThePublisher(t *testing.T) {
	for _, lost := range []packet.Type{packet.PUBREC, packet.PUBCOMP} {
		t.Run(lost.String(), func(t *testing.T) {
			eachWay(t, func(s *server, between func(*server)) {
				w := s.client("w", fresh)
				w.subscribe("t", 2)
				p := s.client("p", fresh, cutAt(lost))
				if _, err := p.Publish(context.Background(), pub(2, "t", "once")); err == nil {
					t.Error("got no error on a line that was cut, want one")
				}
				w.want("published", pub(2, "t", "once"))
				w.leave()
				between(s)
				w.connect(keep)
				p.connect(keep) // the library goes on with what is unfinished
				p.publish(pub(2, "t", "next"))
				w.want("once only", pub(2, "t", "next"))
				w.wantIdle("once only")
			})
		})
	}
}

// The same with QoS 1 is published again when PUBACK is lost, as at least once allows. [MQTT-4.3.2-2] [MQTT-4.4.0-1]
func TestQoS1IsPublishedAgain(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		w := s.client("w", fresh)
		w.subscribe("t", 1)
		p := s.client("p", fresh, cutAt(packet.PUBACK))
		if _, err := p.Publish(context.Background(), pub(1, "t", "x")); err == nil {
			t.Error("got no error on a line that was cut, want one")
		}
		w.want("the first time", pub(1, "t", "x"))
		w.leave()
		between(s)
		w.connect(keep)
		p.connect(keep)
		w.want("the second time: the server knows no DUP of others [MQTT-3.3.1-3]", pub(1, "t", "x"))
		w.wantIdle("no third time")
	})
}

// The line of a subscriber breaks in place of PUBREL, and it has the message once. [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-6]
func TestQoS2IsOnceForTheSubscriber(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		w := s.client("w", fresh, cutAt(packet.PUBREL))
		w.subscribe("t", 2)
		s.client("p").publish(pub(2, "t", "once"))
		w.want("the first time", pub(2, "t", "once"))
		<-w.Done() // in place of PUBREL
		time.Sleep(time.Second)
		between(s)
		w.connect(keep)
		w.wantIdle("PUBREL alone comes again")
		s.client("p").publish(pub(2, "t", "next"))
		w.want("the next one", pub(2, "t", "next"))
	})
}

// Each of many publishes that are under way at once is acknowledged, and arrives once.
func TestManyAtOnce(t *testing.T) {
	script(t, func(s *server) {
		const many = 200
		w := s.client("w", fresh)
		w.subscribe("#", 2)
		p := s.client("p")
		errs := make(chan error)
		for i := range many {
			go func() {
				_, err := p.Publish(context.Background(), pub(1+byte(i%2), fmt.Sprint("t/", i), "x"))
				errs <- err
			}()
		}
		seen := map[string]bool{}
		for range many {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
			m := w.next("each of them")
			if seen[m.Topic] {
				t.Errorf("got %s twice", m.Topic)
			}
			seen[m.Topic] = true
		}
		w.wantIdle("no more than that")
	})
}
