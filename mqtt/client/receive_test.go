package client

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

var _ mqtt.Carrier = (*Client)(nil)

func TestReceiveAtEachQoS(t *testing.T) {
	script(t, func(t *testing.T, v packet.Version) {
		got := make(chan string, 10)
		_, p := connect(t, Config{Version: v, ClientID: "id", OnMessage: func(m *Message) {
			got <- fmt.Sprint(m.Topic, " ", string(m.Payload), " ", m.QoS, m.Retain, m.Dup, m.PacketID)
		}}, &packet.Connack{})
		retained := publishOf("a", "zero", 0, 0)
		retained.Retain = true
		p.send(retained, publishOf("b", "one", 1, 7), publishOf("c", "two", 2, 8), again(publishOf("c", "two", 2, 8)))
		p.want("QoS 1 [MQTT-4.3.2-4]", ack(packet.PUBACK, 7, 0))
		p.want("QoS 2 [MQTT-4.3.3-8]", ack(packet.PUBREC, 8, 0))
		p.want("repeated [MQTT-4.3.3-10]", ack(packet.PUBREC, 8, 0))
		p.send(ack(packet.PUBREL, 8, 0), again(publishOf("b", "one", 1, 7)))
		p.want("completed [MQTT-4.3.3-11]", ack(packet.PUBCOMP, 8, 0))
		p.want("QoS 1 may come twice", ack(packet.PUBACK, 7, 0))
		p.send(publishOf("c", "new", 2, 8))
		p.want("the id is free again [MQTT-4.3.3-12]", ack(packet.PUBREC, 8, 0))
		for _, want := range []string{"a zero 0 true false 0", "b one 1 false false 7", "c two 2 false false 8", "b one 1 false true 7", "c new 2 false false 8"} {
			if got := <-got; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		p.send(ack(packet.PUBREL, 99, 0))
		var notFound packet.ReasonCode
		if v == packet.V5 {
			notFound = packet.PacketIDNotFound
		}
		p.want("unknown PUBREL", ack(packet.PUBCOMP, 99, notFound))
	})
}

func TestAcknowledgementLeavesAfterOnMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		goOn := make(chan struct{})
		_, p := connect(t, Config{OnMessage: func(*Message) { <-goOn }}, &packet.Connack{})
		p.send(publishOf("t", "x", 1, 1))
		p.wantIdle("not handled yet")
		close(goOn)
		p.want("handled", ack(packet.PUBACK, 1, 0))
	})
}

func TestMessagesAreTheReceiversOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := make(chan *Message, 2)
		_, p := connect(t, Config{OnMessage: func(m *Message) { got <- m }}, &packet.Connack{})
		first := publishOf("t", "first", 0, 0)
		first.Props = (&packet.Properties{CorrelationData: []byte("one")}).Mark(packet.PropCorrelationData)
		second := publishOf("t", "other", 0, 0)
		second.Props = (&packet.Properties{CorrelationData: []byte("two")}).Mark(packet.PropCorrelationData)
		p.send(first)
		a := <-got
		p.send(second)
		<-got
		if string(a.Payload) != "first" || string(a.Props.CorrelationData) != "one" {
			t.Errorf("got %q, %q after the next message, want first, one", a.Payload, a.Props.CorrelationData)
		}
	})
}

func TestReceiveMaximumIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{ReceiveMaximum: 2}, &packet.Connack{})
		for id := range uint16(2) {
			p.send(publishOf("t", "x", 2, id+1))
			p.want("within", ack(packet.PUBREC, id+1, 0))
		}
		p.send(publishOf("t", "x", 2, 3))
		p.want("[MQTT-3.3.4-9]", &packet.Disconnect{Reason: packet.ReceiveMaximumExceeded})
		must(t, p.conn.Close())
		<-c.Done()
	})
}

func TestFrames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bad := errors.New("bad frame")
		var got []string
		c, p := connect(t, Config{
			OnMessage: func(m *Message) { got = append(got, "message "+m.Topic) },
			OnFrame: func(kind string, body []byte) error {
				got = append(got, kind+" "+string(body))
				if kind == "bad" {
					return bad
				}
				return nil
			},
		}, &packet.Connack{})
		body := []byte("hello")
		must(t, c.Frame("hello", body))
		copy(body, "other")
		p.want("a frame; the body was copied", publishOf("$link/hello", "hello", 0, 0))
		p.send(publishOf("$link/data", "1", 0, 0), publishOf("$link/data", "2", 0, 0), publishOf("t", "x", 0, 0), publishOf("$link/bad", "3", 0, 0))
		<-c.Done()
		if c.Err() != bad {
			t.Errorf("got %v, want the frame's error", c.Err())
		}
		if want := "[data 1 data 2 message t bad 3]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %v", got, want)
		}
		if err := c.Frame("late", nil); err != bad {
			t.Errorf("frame afterwards: got %v, want the frame's error", err)
		}
	})
}

// TestOutputIsBounded sends to a peer that does not read, until Frame waits; Close unblocks it.
func TestOutputIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := connect(t, Config{}, &packet.Connack{})
		ended, sent := make(chan error, 1), 0
		go func() { // ends with Close
			for {
				if err := c.Frame("data", make([]byte, 64<<10)); err != nil {
					ended <- err
					return
				}
				sent++
			}
		}()
		o := make(outcomes, 1)
		synctest.Wait()
		if err := c.TryPublish(message("t", "x", 0), o.done("x")); err != ErrWindowFull {
			t.Errorf("TryPublish: got %v, want ErrWindowFull", err)
		}
		c.Close(packet.Success)
		if err := <-ended; err != ErrClosed {
			t.Errorf("got %v, want ErrClosed", err)
		}
		if sent*64<<10 > 3*maxOutput {
			t.Errorf("%d frames of 64 KiB went into a buffer of %d", sent, maxOutput)
		}
		<-c.Done() // the write deadline of closing ends it
	})
}
