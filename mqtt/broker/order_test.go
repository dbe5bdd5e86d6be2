package broker

import (
	"fmt"
	"sync"
	"testing"

	"mangrove/mqtt/packet"
)

// Messages of one publisher, topic and QoS reach every subscriber in the order they were published,
// while others publish too and connections come and go. [promise P3] [MQTT-4.6.0-5]
func TestOrderAmongMany(t *testing.T) {
	const publishers, subscribers, each = 6, 4, 200 // within the Receive Maximum
	b := listening(t, nil, "127.0.0.1:0")
	addr := b.srv.Addrs()[0]
	var wg sync.WaitGroup
	for i := range subscribers {
		s := dial(t, addr, packet.V311, fmt.Sprint("s", i))
		s.write(sub(1, "t/# 1"))
		s.read()
		wg.Go(func() { receiveInOrder(t, s, publishers*each) })
	}
	for i := range publishers {
		p := dial(t, addr, packet.V5, fmt.Sprint("p", i))
		wg.Go(func() { publishAll(t, p, fmt.Sprint("t/", i), each) })
		wg.Go(func() { comeAndGo(t, addr, fmt.Sprint("x", i)) })
	}
	wg.Wait()
}

func publishAll(t *testing.T, p *socket, topic string, n int) {
	go func() { // ends with the last write, or the deadline of the connection
		for i := range n {
			if _, err := p.nc.Write(pubQ(1, uint16(i+1), topic, fmt.Sprint(i)).Append(nil, p.v)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range n {
		if got, ok := p.read().(*packet.Ack); !ok || got.Kind != packet.PUBACK || int(got.PacketID) != i+1 {
			t.Errorf("%s: got %+v, want PUBACK %d", topic, got, i+1)
			return
		}
	}
}

func receiveInOrder(t *testing.T, s *socket, n int) {
	next := map[string]int{}
	for range n {
		got, ok := s.read().(*packet.Publish)
		if !ok || string(got.Payload) != fmt.Sprint(next[string(got.Topic)]) {
			t.Errorf("got %+v, want message %d of its topic", got, next[string(got.Topic)])
			return
		}
		next[string(got.Topic)]++
		s.write(ack(packet.PUBACK, got.PacketID, 0))
	}
}

// comeAndGo subscribes and vanishes, so that the others' match results grow old.
func comeAndGo(t *testing.T, addr, id string) {
	for i := range 20 {
		s := dial(t, addr, packet.V5, id)
		s.write(sub(1, fmt.Sprintf("t/%d", i%6)))
		if i%2 == 0 {
			s.write(&packet.Disconnect{})
		}
		s.nc.Close()
	}
}
