package client

import (
	"context"
	"errors"
	"testing"

	"mangrove/mqtt/packet"
)

// TestResume breaks a connection with messages in every state and takes up the session.
func TestResume(t *testing.T) {
	script(t, func(t *testing.T, v packet.Version) {
		var st State
		cfg := Config{Version: v, ClientID: "id", State: &st}
		c, p := connect(t, cfg, &packet.Connack{})
		o := make(outcomes, 5)
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			qos := byte(1 + i%2) // b and d have QoS 2
			must(t, c.PublishAsync(message("t", name, qos), o.done(name)))
			p.want(name, publishOf("t", name, qos, uint16(i+1)))
		}
		p.send(ack(packet.PUBREC, 4, 0), ack(packet.PUBREC, 2, 0), ack(packet.PUBACK, 3, 0))
		p.want("d released", ack(packet.PUBREL, 4, 0))
		p.want("b released", ack(packet.PUBREL, 2, 0))
		o.want(t, "c", 0, nil)
		must(t, p.conn.Close())
		<-c.Done()
		o.wantNone(t, "what is in a State is not over with the connection")
		if st.Len() != 4 {
			t.Errorf("got %d messages in the state, want 4", st.Len())
		}

		c, p = connect(t, cfg, &packet.Connack{SessionPresent: v != packet.V31})
		p.want("PUBREL in the order of PUBREC [MQTT-4.6.0-4]", ack(packet.PUBREL, 4, 0))
		p.want("PUBREL in the order of PUBREC [MQTT-4.6.0-4]", ack(packet.PUBREL, 2, 0))
		p.want("resent in order with DUP [MQTT-4.4.0-1] [MQTT-4.6.0-1]", again(publishOf("t", "a", 1, 1)))
		p.want("resent in order with DUP [MQTT-3.3.1-1]", again(publishOf("t", "e", 1, 5)))
		must(t, c.PublishAsync(message("t", "f", 1), o.done("f")))
		p.want("new behind old, with a new id", publishOf("t", "f", 1, 6))
		p.send(ack(packet.PUBCOMP, 2, 0), ack(packet.PUBACK, 5, 0), ack(packet.PUBACK, 1, 0), ack(packet.PUBCOMP, 4, 0), ack(packet.PUBACK, 6, 0))
		for _, name := range []string{"b", "e", "a", "d", "f"} {
			o.want(t, name, 0, nil)
		}
	})
}

// TestResumeWithoutSession publishes again what the server never acknowledged, as new.
func TestResumeWithoutSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var st State
		delivered := 0
		cfg := Config{ClientID: "id", State: &st, OnMessage: func(*Message) { delivered++ }}
		c, p := connect(t, cfg, &packet.Connack{})
		o := make(outcomes, 3)
		for i, name := range []string{"a", "b", "c"} {
			qos := byte(2 - i%2) // a and c have QoS 2
			must(t, c.PublishAsync(message("t", name, qos), o.done(name)))
			p.want(name, publishOf("t", name, qos, uint16(i+1)))
		}
		p.send(ack(packet.PUBREC, 1, 0), publishOf("in", "x", 2, 40))
		p.want("a released", ack(packet.PUBREL, 1, 0))
		p.want("x received", ack(packet.PUBREC, 40, 0))
		must(t, p.conn.Close())
		<-c.Done()

		_, p = connect(t, cfg, &packet.Connack{})
		o.want(t, "a", 0, nil) // the server took it
		p.want("as new", publishOf("t", "b", 1, 2))
		p.want("as new", publishOf("t", "c", 2, 3))
		p.send(publishOf("in", "y", 2, 40)) // another message with the same id
		p.want("y received", ack(packet.PUBREC, 40, 0))
		if delivered != 2 {
			t.Errorf("got %d messages, want 2", delivered)
		}
	})
}

// TestReceiveExactlyOnceAcrossConnections repeats a QoS 2 message after a break before PUBREL.
func TestReceiveExactlyOnceAcrossConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var st State
		delivered := 0
		cfg := Config{ClientID: "id", State: &st, OnMessage: func(*Message) { delivered++ }}
		c, p := connect(t, cfg, &packet.Connack{})
		p.send(publishOf("in", "x", 2, 40))
		p.want("received", ack(packet.PUBREC, 40, 0))
		must(t, p.conn.Close())
		<-c.Done()
		_, p = connect(t, cfg, &packet.Connack{SessionPresent: true})
		p.send(again(publishOf("in", "x", 2, 40)))
		p.want("known", ack(packet.PUBREC, 40, 0))
		p.send(ack(packet.PUBREL, 40, 0))
		p.want("completed", ack(packet.PUBCOMP, 40, 0))
		if delivered != 1 {
			t.Errorf("delivered %d times, want once", delivered)
		}
	})
}

// TestResumeKeepsToTheWindow has more to resend than the server now takes at once.
func TestResumeKeepsToTheWindow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var st State
		cfg := Config{ClientID: "id", State: &st}
		c, p := connect(t, cfg, &packet.Connack{})
		o := make(outcomes, 5)
		for i, name := range []string{"a", "b", "c", "much longer than the others"} {
			must(t, c.PublishAsync(message("t", name, 1), o.done(name)))
			p.want(name, publishOf("t", name, 1, uint16(i+1)))
		}
		must(t, p.conn.Close())
		<-c.Done()

		connack := limits(packet.Properties{ReceiveMaximum: 1, MaximumPacketSize: 20}, packet.PropReceiveMaximum, packet.PropMaximumPacketSize)
		connack.SessionPresent = true
		c, p = connect(t, cfg, connack)
		p.want("first", again(publishOf("t", "a", 1, 1)))
		p.wantIdle("the window is 1 [MQTT-3.3.4-7]")
		if err := c.TryPublish(message("t", "new", 1), nil); err != ErrWindowFull {
			t.Errorf("got %v, want ErrWindowFull", err)
		}
		p.send(ack(packet.PUBACK, 2, 0)) // of the earlier connection: b need not be sent again
		o.want(t, "b", 0, nil)
		p.wantIdle("a still has the place")
		p.send(ack(packet.PUBACK, 1, 0))
		o.want(t, "a", 0, nil)
		p.want("next", again(publishOf("t", "c", 1, 3)))
		p.send(ack(packet.PUBACK, 3, 0))
		o.want(t, "c", 0, nil)
		o.want(t, "much longer than the others", 0, ErrTooLarge)
		must(t, c.TryPublish(message("t", "new", 1), o.done("new")))
		p.want("the window is free", publishOf("t", "new", 1, 5))
		p.send(ack(packet.PUBACK, 5, 0))
		o.want(t, "new", 0, nil)
	})
}

func TestStateHasOneClientAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var st State
		cfg := Config{ClientID: "id", State: &st}
		c, p := connect(t, cfg, &packet.Connack{})
		if _, err := Dial(context.Background(), cfg); !errors.Is(err, ErrStateInUse) {
			t.Errorf("got %v, want ErrStateInUse", err)
		}
		o := make(outcomes, 1)
		must(t, c.PublishAsync(message("t", "x", 1), o.done("x")))
		p.want("x", publishOf("t", "x", 1, 1))
		waiting := make(chan error, 1)
		go func() { // ends with the connection
			_, err := c.Publish(context.Background(), message("t", "y", 1))
			waiting <- err
		}()
		p.want("y", publishOf("t", "y", 1, 2))
		c.Abort()
		<-c.Done()
		if err := <-waiting; !errors.Is(err, ErrClosed) {
			t.Errorf("Publish that waits: got %v, want ErrClosed", err)
		}
		c, p = connect(t, cfg, &packet.Connack{SessionPresent: true})
		p.want("x again", again(publishOf("t", "x", 1, 1)))
		p.want("y again", again(publishOf("t", "y", 1, 2)))
		c.Abort() // and not waited for: the next one does
		c, _ = connect(t, cfg, &packet.Connack{SessionPresent: true})
		c.Abort()
		<-c.Done()
		st.Drop(nil)
		o.want(t, "x", 0, ErrSessionLost)
		if st.Len() != 0 {
			t.Errorf("got %d messages after Drop, want 0", st.Len())
		}
	})
}
