package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"mangrove/mqtt/packet"
)

func TestPublishAtEachQoS(t *testing.T) {
	script(t, func(t *testing.T, v packet.Version) {
		c, p := connect(t, Config{Version: v, ClientID: "id"}, &packet.Connack{})
		o := make(outcomes, 3)
		for qos, name := range []string{"zero", "one", "two"} {
			must(t, c.PublishAsync(message("t", name, byte(qos)), o.done(name)))
		}
		o.want(t, "zero", 0, nil)
		p.want("QoS 0", publishOf("t", "zero", 0, 0))
		p.want("QoS 1", publishOf("t", "one", 1, 1))
		p.want("QoS 2", publishOf("t", "two", 2, 2))
		p.send(ack(packet.PUBREC, 2, 0), ack(packet.PUBACK, 1, 0))
		p.want("released [MQTT-4.3.3-4]", ack(packet.PUBREL, 2, 0))
		o.want(t, "one", 0, nil)
		o.wantNone(t, "not completed")
		p.send(ack(packet.PUBREC, 2, 0))
		p.want("released again", ack(packet.PUBREL, 2, 0))
		p.send(ack(packet.PUBCOMP, 2, 0))
		o.want(t, "two", 0, nil)
		if n := c.st.Len(); n != 0 {
			t.Errorf("%d messages are left, want 0", n)
		}
	})
}

func TestPublishWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{}, &packet.Connack{})
		o := make(outcomes, 1)
		go func() { // ends with the acknowledgement below
			reason, err := c.Publish(context.Background(), message("t", "x", 1))
			o <- outcome{"x", reason, err}
		}()
		p.want("message", publishOf("t", "x", 1, 1))
		o.wantNone(t, "not acknowledged")
		p.send(ack(packet.PUBACK, 1, packet.NoMatchingSubscribers))
		o.want(t, "x", packet.NoMatchingSubscribers, nil)

		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := c.Publish(ctx, message("t", "y", 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
		p.want("it left all the same", publishOf("t", "y", 1, 2))
	})
}

func TestServerRefusesMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{}, &packet.Connack{})
		o := make(outcomes, 2)
		must(t, c.PublishAsync(message("t", "a", 1), o.done("a")))
		must(t, c.PublishAsync(message("t", "b", 2), o.done("b")))
		p.want("a", publishOf("t", "a", 1, 1))
		p.want("b", publishOf("t", "b", 2, 2))
		p.send(ack(packet.PUBACK, 1, packet.QuotaExceeded), ack(packet.PUBREC, 2, packet.NotAuthorized))
		for _, want := range []Error{{Packet: packet.PUBACK, Reason: packet.QuotaExceeded}, {Packet: packet.PUBREC, Reason: packet.NotAuthorized}} {
			var e *Error
			if got := <-o; got.reason != want.Reason || !errors.As(got.err, &e) || *e != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		p.wantIdle("no PUBREL after a refusal")
	})
}

func TestAcknowledgementsThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name string
		qos  byte
		kind packet.Type
	}{{"PUBREC at QoS 1", 1, packet.PUBREC}, {"PUBACK at QoS 2", 2, packet.PUBACK}, {"PUBCOMP before PUBREC", 2, packet.PUBCOMP}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cl, p := connect(t, Config{}, &packet.Connack{})
				o := make(outcomes, 1)
				must(t, cl.PublishAsync(message("t", "x", c.qos), o.done("x")))
				p.want("message", publishOf("t", "x", c.qos, 1))
				p.send(ack(c.kind, 1, 0))
				p.want("protocol error", &packet.Disconnect{Reason: packet.ProtocolError})
				must(t, p.conn.Close())
				<-cl.Done()
				o.want(t, "x", 0, cl.Err())
			})
		})
	}
	t.Run("unknown ids", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			_, p := connect(t, Config{}, &packet.Connack{})
			p.send(ack(packet.PUBACK, 9, 0), ack(packet.PUBCOMP, 9, packet.PacketIDNotFound), ack(packet.PUBREC, 9, 0))
			p.want("unknown PUBREC", ack(packet.PUBREL, 9, packet.PacketIDNotFound))
			p.wantIdle("the others are passed over")
		})
	})
}

func limits(p packet.Properties, ids ...packet.Property) *packet.Connack {
	for _, id := range ids {
		p.Mark(id)
	}
	return &packet.Connack{Props: &p}
}

func TestWindow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		connack := limits(packet.Properties{ReceiveMaximum: 2}, packet.PropReceiveMaximum) // [MQTT-3.3.4-7]
		c, p := connect(t, Config{MaxInflight: 5}, connack)
		o := make(outcomes, 4)
		must(t, c.PublishAsync(message("t", "a", 1), o.done("a")))
		must(t, c.PublishAsync(message("t", "b", 2), o.done("b")))
		if err := c.TryPublish(message("t", "c", 1), nil); err != ErrWindowFull {
			t.Errorf("got %v, want ErrWindowFull", err)
		}
		must(t, c.TryPublish(message("t", "zero", 0), nil))
		waited := make(chan error, 1)
		go func() { waited <- c.PublishAsync(message("t", "c", 1), o.done("c")) }() // ends below
		p.want("a", publishOf("t", "a", 1, 1))
		p.want("b", publishOf("t", "b", 2, 2))
		p.want("QoS 0 is not counted", publishOf("t", "zero", 0, 0))
		p.send(ack(packet.PUBREC, 2, 0))
		p.want("b goes on", ack(packet.PUBREL, 2, 0))
		p.wantIdle("PUBREC frees no place")
		p.send(ack(packet.PUBCOMP, 2, 0))
		p.want("c has its place", publishOf("t", "c", 1, 3))
		must(t, <-waited)

		go func() { waited <- c.PublishAsync(message("t", "d", 1), o.done("d")) }() // ends with Abort
		synctest.Wait()
		c.Abort()
		if err := <-waited; !errors.Is(err, ErrClosed) {
			t.Errorf("waiting for the window: got %v, want ErrClosed", err)
		}
		o.want(t, "b", 0, nil)
		o.want(t, "a", 0, ErrClosed)
		o.want(t, "c", 0, ErrClosed)
	})
}

func TestPublishIsChecked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		connack := limits(packet.Properties{MaximumPacketSize: 20, MaximumQoS: 1, RetainAvailable: 0},
			packet.PropMaximumPacketSize, packet.PropMaximumQoS, packet.PropRetainAvailable)
		c, p := connect(t, Config{}, connack)
		for _, bad := range []struct {
			m    *Message
			want error
		}{
			{message("t", "much too long for this", 0), ErrTooLarge}, // [MQTT-3.2.2-15]
			{message("t", "much too long for this", 1), ErrTooLarge},
			{message("t", "x", 2), ErrUnsupported},                                                     // [MQTT-3.2.2-11]
			{&Message{Topic: "t", Retain: true}, ErrUnsupported},                                       // [MQTT-3.2.2-14]
			{message("t/#", "x", 0), nil},                                                              // [MQTT-3.3.2-2]
			{message("", "x", 0), nil},                                                                 // [MQTT-4.7.3-1]
			{message("t", "x", 3), nil},                                                                // [MQTT-3.3.1-4]
			{&Message{Topic: "t", Props: (&packet.Properties{}).Mark(packet.PropSubscriptionID)}, nil}, // [MQTT-3.3.4-6]
		} {
			err := c.PublishAsync(bad.m, func(packet.ReasonCode, error) { t.Error("done was called") })
			if err == nil || bad.want != nil && !errors.Is(err, bad.want) {
				t.Errorf("%+v: got %v, want %v", bad.m, err, bad.want)
			}
		}
		must(t, c.PublishAsync(message("t", "fits", 1), nil))
		p.want("nothing of those was sent", publishOf("t", "fits", 1, 2))
	})
}

func TestGreatestMaximumPacketSize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{}, limits(packet.Properties{MaximumPacketSize: 1<<32 - 1}, packet.PropMaximumPacketSize))
		must(t, c.PublishAsync(message("t", "x", 0), nil)) // also where int has 32 bits
		p.want("message", publishOf("t", "x", 0, 0))
	})
}

func TestPacketIDsAreNotReusedWhileInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var st State
		st.lastID = 65533
		c, p := connect(t, Config{State: &st}, &packet.Connack{})
		for _, id := range []uint16{65534, 65535, 1} { // [MQTT-2.2.1-3], never 0
			must(t, c.PublishAsync(message("t", "x", 1), nil))
			p.want("next", publishOf("t", "x", 1, id))
		}
		go func() { // ends with the connection
			_, err := c.Subscribe(context.Background(), packet.SubscribeFilter{Filter: "a"})
			if err == nil {
				t.Error("subscribe was answered by nobody")
			}
		}()
		p.want("requests take from the same ids", &packet.Subscribe{PacketID: 2, Filters: []packet.SubscribeFilter{{Filter: "a"}}})
		st.mu.Lock()
		st.lastID = 65533
		st.mu.Unlock()
		must(t, c.PublishAsync(message("t", "x", 1), nil))
		p.want("skipped what is in use", publishOf("t", "x", 1, 3))
		c.Abort()
		<-c.Done()
	})
}
