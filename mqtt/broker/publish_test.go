package broker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/mqtttest"
	"mangrove/mqtt/packet"
)

func TestQoSFlows(t *testing.T) {
	for _, v := range []packet.Version{packet.V31, packet.V311, packet.V5} {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			script(t, nil, func(b *bench) {
				s, p := b.client(v, "s"), b.client(v, "p")
				s.Write(sub(1, "a/+ 2"))
				s.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{2}}) // [MQTT-3.8.4-1]

				p.Write(pub("a/0", "zero"))
				s.Want("QoS 0", pub("a/0", "zero"))
				p.WantIdle("QoS 0 is not acknowledged")

				p.Write(pubQ(1, 9, "a/1", "one"))
				p.Want("PUBACK", ack(packet.PUBACK, 9, 0)) // [MQTT-4.3.2-4]
				s.Want("QoS 1", pubQ(1, 1, "a/1", "one"))
				s.Write(ack(packet.PUBACK, 1, 0))

				p.Write(pubQ(2, 9, "a/2", "two"))
				p.Want("PUBREC", ack(packet.PUBREC, 9, 0)) // [MQTT-4.3.3-8]
				s.Want("QoS 2", pubQ(2, 2, "a/2", "two"))
				again := pubQ(2, 9, "a/2", "two")
				again.Dup = true
				p.Write(again)
				p.Want("PUBREC again", ack(packet.PUBREC, 9, 0))
				s.WantIdle("a repeat is not published again") // [MQTT-4.3.3-10]
				p.Write(ack(packet.PUBREL, 9, 0))
				p.Want("PUBCOMP", ack(packet.PUBCOMP, 9, 0)) // [MQTT-4.3.3-11]
				s.Write(ack(packet.PUBREC, 2, 0))
				s.Want("PUBREL", ack(packet.PUBREL, 2, 0)) // [MQTT-4.3.3-4]
				s.Write(ack(packet.PUBCOMP, 2, 0))
				s.WantIdle("done")
			})
		})
	}
}

func TestAcknowledgementsKeepTheOrder(t *testing.T) { // [MQTT-4.6.0-2] [MQTT-4.6.0-3]
	script(t, nil, func(b *bench) {
		k := &mqtttest.Keeper{}
		b.router.Subscribe(k, mqtt.Subscription{Filter: "k/#", QoS: 2})
		p := b.client(packet.V5, "p")
		p.Write(pubQ(1, 1, "k/1", ""), pubQ(2, 2, "k/2", ""), pubQ(1, 3, "nobody", ""), pubQ(1, 4, "k/4", ""), pub("k/5", ""))
		p.WantIdle("nothing is kept yet")
		k.Release(2, nil)
		k.Release(1, nil)
		p.WantIdle("the first is not kept yet")
		k.Release(0, nil)
		p.Want("1", ack(packet.PUBACK, 1, 0))
		p.Want("2", ack(packet.PUBREC, 2, 0))
		p.Want("3", ack(packet.PUBACK, 3, packet.NoMatchingSubscribers))
		p.Want("4", ack(packet.PUBACK, 4, 0))
		if got := fmt.Sprint(k.Topics()); got != "[k/1 k/2 k/4 k/5]" {
			t.Errorf("got %s", got)
		}
	})
}

// A message that a taker could not keep is never acknowledged as if it were: 5.0 clients are told,
// others are disconnected. [promise P1]
func TestNotKept(t *testing.T) {
	script(t, nil, func(b *bench) {
		k := &mqtttest.Keeper{}
		b.router.Subscribe(k, mqtt.Subscription{Filter: "k", QoS: 2})
		p := b.client(packet.V5, "p")
		k.Fail = mqtt.ErrQuota
		p.Write(pubQ(1, 1, "k", ""), pubQ(2, 2, "k", ""))
		p.Want("refused", ack(packet.PUBACK, 1, packet.QuotaExceeded))
		p.Want("refused", ack(packet.PUBREC, 2, packet.QuotaExceeded))
		k.Fail, k.Got = nil, nil
		p.Write(pubQ(2, 2, "k", ""))
		p.WantIdle("not kept yet")
		if len(k.Got) != 1 { // the id was free again [MQTT-4.3.3-9]
			t.Fatalf("got %d messages, want the new one", len(k.Got))
		}
		k.Release(0, errors.New("disk broke"))
		p.Want("failed", ack(packet.PUBREC, 2, packet.UnspecifiedError))

		q := b.client(packet.V311, "q")
		q.Write(pubQ(1, 1, "k", ""), pubQ(1, 2, "nobody", ""))
		q.WantIdle("not kept yet")
		k.Release(1, mqtt.ErrQuota)
		q.WantClosed("3.1.1 knows no refusal")
		b.wantEnd("not-kept")
	})
}

// A message that is too large to be kept is refused by its size, not by the disk.
func TestTooLargeToBeKept(t *testing.T) {
	err := fmt.Errorf("refused: %w", store.ErrTooLarge)
	if got := ackReason(err); got != packet.QuotaExceeded {
		t.Errorf("got reason %v, want %v", got, packet.QuotaExceeded)
	}
	if got := ackDetail(err); !strings.Contains(got, "48 MiB") {
		t.Errorf("got %q, want the bound in it", got)
	}
}

func TestReceiveMaximum(t *testing.T) { // [MQTT-3.3.4-7]
	limit := func(c *Config) { c.ReceiveMaximum = 2 }
	script(t, limit, func(b *bench) {
		k := &mqtttest.Keeper{}
		b.router.Subscribe(k, mqtt.Subscription{Filter: "k", QoS: 2})
		p := b.client(packet.V5, "p")
		p.Write(pubQ(2, 1, "k", ""), pubQ(1, 2, "k", ""))
		p.WantIdle("both in flight")
		k.Release(0, nil)
		k.Release(1, nil)
		p.Want("PUBREC", ack(packet.PUBREC, 1, 0))
		p.Want("PUBACK", ack(packet.PUBACK, 2, 0))
		p.Write(ack(packet.PUBREL, 1, 0), pubQ(1, 3, "k", ""), pubQ(1, 4, "k", ""))
		p.Want("PUBCOMP", ack(packet.PUBCOMP, 1, 0))
		p.Write(pubQ(1, 5, "k", ""))
		p.WantDisconnect("a third", packet.ReceiveMaximumExceeded)
		b.wantEnd("receive-maximum-exceeded")
	})
	script(t, limit, func(b *bench) {
		k := &mqtttest.Keeper{}
		b.router.Subscribe(k, mqtt.Subscription{Filter: "k", QoS: 2})
		p := b.client(packet.V311, "p")
		p.Write(pubQ(1, 1, "k", ""), pubQ(1, 2, "k", ""), pubQ(1, 3, "k", ""), &packet.Pingreq{})
		p.WantIdle("3.1.1 is not read further")
		if n := len(k.Topics()); n != 2 {
			t.Fatalf("got %d messages, want 2", n)
		}
		k.Release(0, nil)
		p.Want("PUBACK", ack(packet.PUBACK, 1, 0))
		p.Want("read again", &packet.Pingresp{})
		k.Release(1, nil)
		k.Release(2, nil)
		p.Want("PUBACK", ack(packet.PUBACK, 2, 0))
		p.Want("PUBACK", ack(packet.PUBACK, 3, 0))
	})
}

func TestPublishDenied(t *testing.T) {
	script(t, nil, func(b *bench) {
		s := b.client(packet.V5, "s")
		s.Write(sub(1, "#", "$SYS/#"))
		s.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0, 0}})
		five, three := b.client(packet.V5, "5"), b.client(packet.V311, "3")
		for _, topic := range []string{"secret/x", "$SYS/broker/version", "$link/data"} {
			five.Write(pub(topic, ""), pubQ(1, 1, topic, ""), pubQ(2, 2, topic, ""))
			five.Want(topic, ack(packet.PUBACK, 1, packet.NotAuthorized))
			five.Want(topic, ack(packet.PUBREC, 2, packet.NotAuthorized))
			three.Write(pub(topic, ""), pubQ(1, 1, topic, ""), pubQ(2, 2, topic, ""))
			three.Want(topic, ack(packet.PUBACK, 1, 0)) // [MQTT311-3.3.5-2]
			three.Want(topic, ack(packet.PUBREC, 2, 0))
		}
		s.WantIdle("nothing gets through")
		b.wantCount(`mangrove_messages_dropped_total{reason="not-authorized"}`, 18)
	})
}

func TestTopicAlias(t *testing.T) {
	alias := func(n uint16, topic string) *packet.Publish {
		p := pub(topic, "x")
		p.Props = (&packet.Properties{TopicAlias: n}).Mark(packet.PropTopicAlias)
		return p
	}
	script(t, nil, func(b *bench) {
		s, p := b.client(packet.V311, "s"), b.client(packet.V5, "p")
		s.Write(sub(1, "#"))
		s.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
		p.Write(alias(1, "a/1"), alias(2, "a/2"), alias(1, ""), alias(1, "a/3"), alias(1, ""), alias(2, ""))
		for _, want := range []string{"a/1", "a/2", "a/1", "a/3", "a/3", "a/2"} { // [MQTT-3.3.2-12]
			s.Want(want, pub(want, "x"))
		}
		p.Write(alias(3, ""))
		p.WantDisconnect("an alias not set", packet.ProtocolError)
		q := b.client(packet.V5, "q")
		q.Write(alias(DefaultTopicAliases+1, "a")) // [MQTT-3.3.2-9]
		q.WantDisconnect("above the maximum", packet.TopicAliasInvalid)
		r := b.client(packet.V5, "r")
		r.Write(alias(1, "")) // [MQTT-3.3.2-7]
		r.WantDisconnect("another connection's alias", packet.ProtocolError)
	})
}

func TestPropertiesTravel(t *testing.T) {
	script(t, nil, func(b *bench) {
		s, old, p := b.client(packet.V5, "s"), b.client(packet.V311, "old"), b.client(packet.V5, "p")
		req := sub(1, "#")
		req.Props = (&packet.Properties{SubscriptionIDs: []uint32{300}}).Mark(packet.PropSubscriptionID)
		s.Write(req)
		s.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
		old.Write(sub(1, "#"))
		old.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
		out := pub("a", "x")
		out.Props = (&packet.Properties{
			PayloadFormat: 1, MessageExpiry: 10, ContentType: "t", ResponseTopic: "r", CorrelationData: []byte{1},
			User: []packet.UserProperty{{Name: "n", Value: "1"}, {Name: "n", Value: "2"}}, TopicAlias: 4,
		}).Mark(packet.PropPayloadFormat).Mark(packet.PropMessageExpiry).Mark(packet.PropContentType).Mark(packet.PropResponseTopic).
			Mark(packet.PropCorrelationData).Mark(packet.PropUser).Mark(packet.PropTopicAlias)
		p.Write(out)
		want := *out
		props := *out.Props
		want.Props = &props
		props.Set &^= 1 << packet.PropTopicAlias
		props.SubscriptionIDs = []uint32{300}
		props.Mark(packet.PropSubscriptionID)
		s.Want("5.0", &want) // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
		old.Want("3.1.1", pub("a", "x"))

		p.Write(&packet.Publish{Retain: true, Topic: []byte("a"), Payload: []byte("y"),
			Props: (&packet.Properties{MessageExpiry: 10}).Mark(packet.PropMessageExpiry)})
		time.Sleep(4 * time.Second)
		late := b.client(packet.V5, "late")
		late.Write(sub(1, "a"))
		late.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
		late.Want("retained", &packet.Publish{Retain: true, Topic: []byte("a"), Payload: []byte("y"),
			Props: (&packet.Properties{MessageExpiry: 6}).Mark(packet.PropMessageExpiry)}) // [MQTT-3.3.2-6]
	})
}

func TestMaximumPacketSizeOfTheClient(t *testing.T) { // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
	script(t, nil, func(b *bench) {
		s := b.client(packet.V5, "s", func(c *packet.Connect) {
			c.Props = (&packet.Properties{MaximumPacketSize: 20}).Mark(packet.PropMaximumPacketSize)
		})
		p := b.client(packet.V5, "p")
		s.Write(sub(1, "a"))
		s.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
		p.Write(pub("a", "123456789012345"), pub("a", "12345678901234"))
		s.Want("20 bytes", pub("a", "12345678901234"))
		s.WantIdle("21 bytes are not sent")
	})
}

// The step's step: many packets in one write are all handled, and a packet may come byte by byte.
func TestPacketsAcrossReads(t *testing.T) {
	script(t, nil, func(b *bench) {
		s, p := b.client(packet.V311, "s"), b.client(packet.V311, "p")
		s.Write(sub(1, "#"))
		s.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
		var many []packet.Packet
		for i := range 2000 {
			many = append(many, pub("a", fmt.Sprint("message ", i)))
		}
		p.Write(many...)
		for i := range 2000 {
			s.Want("many", pub("a", fmt.Sprint("message ", i)))
		}
		big := pub("a", string(make([]byte, 300_000)))
		for _, c := range big.Append(nil, packet.V311)[:20] {
			p.WriteBytes([]byte{c})
		}
		p.WriteBytes(big.Append(nil, packet.V311)[20:])
		s.Want("big", big)
	})
}
