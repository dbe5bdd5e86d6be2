package paho

import (
	"context"
	"fmt"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"mangrove/mqtt/packet"
)

// Each message goes to one member, at the QoS that it was granted; other subscriptions are no matter. [MQTT-4.8.2-3]
func TestShare(t *testing.T) {
	script(t, func(s *server) {
		const many = 30
		var members []*client
		for qos := range byte(3) {
			m := s.client(fmt.Sprint("member", qos))
			m.subscribe("$share/g/t/#", qos)
			members = append(members, m)
		}
		alone := s.client("alone")
		alone.subscribe("t/#", 2)
		p := s.client("p")
		for i := range many {
			p.publish(pub(2, "t/1", fmt.Sprint(i)))
			alone.want("all of them", pub(2, "t/1", fmt.Sprint(i)))
		}
		sum := 0
		for qos, m := range members {
			m.bye(paho.Disconnect{})
			sum += len(m.messages)
			if got := len(m.messages); got != many/len(members) {
				t.Errorf("member %d: got %d messages in turn, want %d", qos, got, many/len(members))
			}
			for range len(m.messages) {
				if got := m.next("its share"); got.QoS != byte(qos) {
					t.Errorf("got QoS %d, want %d", got.QoS, qos)
				}
			}
		}
		if sum != many {
			t.Errorf("got %d messages in all, want %d", sum, many)
		}
	})
}

// Shared subscriptions get no retained messages (section 4.8.2), and may not ask for No Local. [MQTT-3.8.3-4]
func TestShareIsPlain(t *testing.T) {
	script(t, func(s *server) {
		s.client("p").publish(retained(1, "t", "x"))
		w := s.client("w")
		w.subscribe("$share/g/t", 1)
		w.wantIdle("retained")
		answer := make(chan *paho.Suback)
		go func() {
			ack, _ := w.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "$share/g/u", NoLocal: true}}})
			answer <- ack // nil: it ends with the connection
		}()
		w.wantGone("No Local", packet.ProtocolError)
		if got := <-answer; got != nil {
			t.Errorf("got SUBACK %v, want none", got.Reasons)
		}
	})
}

// What a member has not acknowledged when its session ends goes to another one, but no QoS 2 message that it had begun. [MQTT-4.8.2-5]
func TestShareIsInherited(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		first := s.client("first", fresh, byHand, window(2))
		first.subscribe("$share/g/t", 2)
		p := s.client("p")
		p.publish(pub(1, "t", "began, QoS 1"))
		p.publish(pub(2, "t", "began, QoS 2"))
		p.publish(pub(2, "t", "waits"))
		first.want("in flight", pub(1, "t", "began, QoS 1"))
		first.want("in flight", pub(2, "t", "began, QoS 2"))
		first.wantIdle("the window is full")
		second := s.client("second", fresh)
		second.subscribe("$share/g/t", 2)
		first.leave()
		second.leave()
		between(s)
		second.connect(keep)
		second.wantIdle("the session of the first one is still there")
		s.client("first") // clean start: the session ends
		second.want("what may be given to another", pub(1, "t", "began, QoS 1"))
		second.want("what may be given to another", pub(2, "t", "waits"))
		second.wantIdle("a QoS 2 message that has begun")
	})
}
