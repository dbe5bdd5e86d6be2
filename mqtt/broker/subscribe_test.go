package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/router"
)

func TestSubackReasons(t *testing.T) { // [MQTT-3.8.4-5] [MQTT-3.8.4-6]
	script(t, nil, func(b *bench) {
		filters := []string{"a/+/#", "secret/x 1", "$link/x", "$share/g/a 2", "$share/g/secret", "b 1"}
		five := b.client(packet.V5, "5")
		five.Write(sub(1, filters...))
		no := packet.NotAuthorized
		five.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0, no, no, 2, no, 1}})
		three := b.client(packet.V311, "3")
		three.Write(sub(2, filters...))
		bad := packet.UnspecifiedError
		three.Want("SUBACK", &packet.Suback{PacketID: 2, Reasons: []packet.ReasonCode{0, bad, bad, 2, bad, 1}})

		five.Write(&packet.Unsubscribe{PacketID: 3, Filters: []string{"b", "never", "$share/g/a"}})
		five.Want("UNSUBACK", &packet.Unsuback{PacketID: 3, Reasons: []packet.ReasonCode{0, packet.NoSubscriptionExisted, 0}}) // [MQTT-3.11.3-1]
		three.Write(&packet.Unsubscribe{PacketID: 4, Filters: []string{"b"}})
		three.Want("UNSUBACK", &packet.Unsuback{PacketID: 4}) // [MQTT-3.10.4-5]
	})
}

func TestDeepFilterIsRefused(t *testing.T) {
	script(t, nil, func(b *bench) {
		p := b.client(packet.V5, "a")
		p.Write(sub(1, strings.Repeat("a/", 130)+"#"))
		p.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{packet.TopicFilterInvalid}})
	})
}

func TestSharedWithNoLocal(t *testing.T) { // [MQTT-3.8.3-4]
	script(t, nil, func(b *bench) {
		p := b.client(packet.V5, "a")
		p.Write(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "$share/g/a", NoLocal: true}}})
		p.WantDisconnect("no local on a shared subscription", packet.ProtocolError)
	})
}

// Subscriptions that match the same message give one message, at the highest QoS, with every identifier.
func TestOverlappingSubscriptions(t *testing.T) { // [MQTT-3.3.4-2] [MQTT-3.3.4-3]
	script(t, nil, func(b *bench) {
		s, p := b.client(packet.V5, "s"), b.client(packet.V5, "p")
		for i, f := range []string{"a/#", "a/b 1", "+/b"} {
			req := sub(uint16(i+1), f)
			if i < 2 {
				req.Props = (&packet.Properties{SubscriptionIDs: []uint32{uint32(i + 10)}}).Mark(packet.PropSubscriptionID)
			}
			s.Write(req)
			s.next()
		}
		p.Write(pubQ(1, 1, "a/b", "x"))
		got := s.next().(*packet.Publish)
		slices.Sort(got.Props.SubscriptionIDs)
		if got.QoS != 1 || fmt.Sprint(got.Props.SubscriptionIDs) != "[10 11]" {
			t.Errorf("got QoS %d, identifiers %v; want 1, [10 11]", got.QoS, got.Props.SubscriptionIDs)
		}
		s.WantIdle("once")
	})
}

func TestNoLocal(t *testing.T) { // [MQTT-3.8.3-3]
	script(t, nil, func(b *bench) {
		p, q := b.client(packet.V5, "p"), b.client(packet.V5, "q")
		p.Write(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "a", NoLocal: true}}})
		p.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
		p.Write(pub("a", "own"))
		p.WantIdle("own message")
		q.Write(pub("a", "other"))
		p.Want("another's", pub("a", "other"))
		p.Write(sub(2, "+"))
		p.next()
		p.Write(pub("a", "own"))
		p.Want("by the other subscription", pub("a", "own"))
	})
}

func TestRetained(t *testing.T) {
	retained := func(topic, payload string) *packet.Publish {
		return &packet.Publish{Retain: true, Topic: []byte(topic), Payload: []byte(payload)}
	}
	script(t, nil, func(b *bench) {
		p, s := b.client(packet.V5, "p"), b.client(packet.V5, "s")
		p.Write(retained("a", "1"), retained("a", "2"), retained("b", "x"), retained("b", "")) // [MQTT-3.3.1-5] [MQTT-3.3.1-6]
		p.WantIdle("all are handled")
		ok := func(id uint16) *packet.Suback {
			return &packet.Suback{PacketID: id, Reasons: []packet.ReasonCode{0}}
		}
		s.Write(sub(1, "+"))
		s.Want("SUBACK", ok(1))
		s.Want("retained", retained("a", "2")) // [MQTT-3.3.1-9] [MQTT311-3.3.1-8]
		s.WantIdle("b was forgotten")
		p.Write(retained("a", "3"))
		s.Want("live", pub("a", "3")) // [MQTT-3.3.1-12]

		handle := func(id uint16, filter string, h byte) *packet.Subscribe {
			return &packet.Subscribe{PacketID: id, Filters: []packet.SubscribeFilter{{Filter: filter, RetainHandling: h, RetainAsPublished: true}}}
		}
		s.Write(handle(2, "+", 1))
		s.Want("SUBACK", ok(2))
		s.WantIdle("handling 1, not new") // [MQTT-3.3.1-10]
		s.Write(handle(3, "a/#", 1))
		s.Want("SUBACK", ok(3))
		s.Want("handling 1, new", retained("a", "3"))
		s.Write(handle(4, "a", 2))
		s.Want("SUBACK", ok(4))
		s.WantIdle("handling 2") // [MQTT-3.3.1-11]
		s.Write(handle(5, "$share/g/a", 0))
		s.Want("SUBACK", ok(5))
		s.WantIdle("shared") // section 4.8.2
		s.Write(&packet.Unsubscribe{PacketID: 6, Filters: []string{"$share/g/a"}})
		s.next()
		p.Write(retained("a", "4"))
		s.Want("retain as published", retained("a", "4")) // [MQTT-3.3.1-13]
	})
}

// A client may take its time with many retained messages: none is dropped for want of output buffer.
func TestRetainedWaitForTheClient(t *testing.T) {
	script(t, func(c *Config) { c.MaxOutput = 2000 }, func(b *bench) {
		p := b.client(packet.V311, "p")
		for i := range 500 {
			p.Write(&packet.Publish{Retain: true, Topic: fmt.Appendf(nil, "r/%d", i), Payload: make([]byte, 100)})
		}
		s := b.client(packet.V311, "s")
		s.Write(sub(1, "r/+"))
		s.next()
		for i := range 500 {
			if got, ok := s.next().(*packet.Publish); !ok || !got.Retain {
				t.Fatalf("message %d: got %+v, want a retained one", i, got)
			}
		}
	})
}

func TestSubscriptionNotKept(t *testing.T) {
	script(t, func(c *Config) { c.Sessions = failing{c.Sessions} }, func(b *bench) {
		p := b.client(packet.V5, "a")
		p.Write(sub(1, "a", "secret"))
		p.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{packet.QuotaExceeded, packet.NotAuthorized}})
		p.Write(&packet.Unsubscribe{PacketID: 2, Filters: []string{"a"}})
		p.Want("UNSUBACK", &packet.Unsuback{PacketID: 2, Reasons: []packet.ReasonCode{packet.UnspecifiedError}})
		q := b.client(packet.V311, "b")
		q.Write(&packet.Unsubscribe{PacketID: 2, Filters: []string{"a"}})
		q.WantClosed("3.1.1 knows no refusal")
	})
}

// failing is Sessions that keep no subscription.
type failing struct{ mqtt.Sessions }

type failingSession struct{ mqtt.Session }

func (f failing) Open(req mqtt.OpenRequest, out mqtt.Outlet) (mqtt.Session, bool, error) {
	s, present, err := f.Sessions.Open(req, out)
	return failingSession{s}, present, err
}

func (failingSession) Subscribe([]mqtt.Subscription) ([]mqtt.Subscribed, error) {
	return nil, mqtt.ErrQuota
}
func (failingSession) Unsubscribe([]string) ([]bool, error) { return nil, errors.New("disk broke") }

// A retained message that is published between the subscription and the look at what is retained comes once, as it is published.
// [MQTT-3.3.1-12]
func TestRetainedSinceTheSubscription(t *testing.T) {
	now := &interrupted{}
	change := func(c *Config) { now.Sessions, c.Sessions = c.Sessions, now; now.router = c.Router }
	script(t, change, func(b *bench) {
		p := b.client(packet.V5, "a")
		p.Write(sub(1, "t"))
		p.Want("as published", pub("t", "x"))
		p.Want("SUBACK", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
		p.WantIdle("once")
		p.Write(sub(2, "t"))
		p.Want("as published", pub("t", "x"))
		p.Want("SUBACK", &packet.Suback{PacketID: 2, Reasons: []packet.ReasonCode{0}})
		p.WantIdle("once again")
	})
}

// interrupted is Sessions in which somebody publishes a retained message right after each subscription.
type interrupted struct {
	mqtt.Sessions
	router *router.Router
}

type interruptedSession struct {
	mqtt.Session
	router *router.Router
}

func (i *interrupted) Open(req mqtt.OpenRequest, out mqtt.Outlet) (mqtt.Session, bool, error) {
	s, present, err := i.Sessions.Open(req, out)
	return interruptedSession{s, i.router}, present, err
}

func (i interruptedSession) Subscribe(subs []mqtt.Subscription) ([]mqtt.Subscribed, error) {
	done, err := i.Session.Subscribe(subs)
	r := mqtt.NewReceipt(new(batch.Batch), nil)
	i.router.Publish(&mqtt.Message{Topic: "t", Payload: []byte("x"), Retain: true}, r)
	r.Close()
	return done, err
}
