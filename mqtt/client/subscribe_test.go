package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"mangrove/mqtt/packet"
)

type answer struct {
	reasons []packet.ReasonCode
	err     error
}

// asking runs a request beside the script.
func asking(ask func() ([]packet.ReasonCode, error)) <-chan answer {
	got := make(chan answer, 1)
	go func() { // ends with the answer or the connection
		reasons, err := ask()
		got <- answer{reasons, err}
	}()
	return got
}

func TestSubscribeAndUnsubscribe(t *testing.T) {
	script(t, func(t *testing.T, v packet.Version) {
		c, p := connect(t, Config{Version: v, ClientID: "id"}, &packet.Connack{})
		filters := []packet.SubscribeFilter{{Filter: "a/#", QoS: 1}, {Filter: "b", QoS: 2}}
		got := asking(func() ([]packet.ReasonCode, error) { return c.Subscribe(context.Background(), filters...) })
		p.want("SUBSCRIBE", &packet.Subscribe{PacketID: 1, Filters: filters})
		p.send(&packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{packet.GrantedQoS1, packet.UnspecifiedError}})
		if a := <-got; a.err != nil || len(a.reasons) != 2 || a.reasons[0] != packet.GrantedQoS1 || a.reasons[1] != packet.UnspecifiedError {
			t.Errorf("got %+v, want granted 1 and a refusal", a)
		}
		got = asking(func() ([]packet.ReasonCode, error) { return c.Unsubscribe(context.Background(), "a/#", "b") })
		p.want("UNSUBSCRIBE", &packet.Unsubscribe{PacketID: 2, Filters: []string{"a/#", "b"}})
		p.send(&packet.Unsuback{PacketID: 2, Reasons: []packet.ReasonCode{packet.Success, packet.Success}})
		if a := <-got; a.err != nil || len(a.reasons) != 2 {
			t.Errorf("got %+v, want two successes", a)
		}
	})
}

func TestSubscribeWithIdentifier(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{}, &packet.Connack{})
		user := []packet.UserProperty{{Name: "k", Value: "v"}}
		filter := packet.SubscribeFilter{Filter: "a", NoLocal: true, RetainAsPublished: true, RetainHandling: 2}
		got := asking(func() ([]packet.ReasonCode, error) {
			return c.SubscribeWith(context.Background(), SubscribeOptions{ID: 300, User: user}, filter)
		})
		props := &packet.Properties{SubscriptionIDs: []uint32{300}, User: user}
		props.Mark(packet.PropSubscriptionID).Mark(packet.PropUser)
		p.want("SUBSCRIBE", &packet.Subscribe{PacketID: 1, Props: props, Filters: []packet.SubscribeFilter{filter}})
		p.send(&packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{packet.Success}})
		must(t, (<-got).err)
	})
}

func TestRequestsEndWithTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{}, &packet.Connack{})
		got := asking(func() ([]packet.ReasonCode, error) { return c.Unsubscribe(context.Background(), "a") })
		p.want("UNSUBSCRIBE", &packet.Unsubscribe{PacketID: 1, Filters: []string{"a"}})
		c.Abort()
		if a := <-got; !errors.Is(a.err, ErrClosed) {
			t.Errorf("got %+v, want ErrClosed", a)
		}
		<-c.Done()
		if _, err := c.Unsubscribe(context.Background(), "a"); !errors.Is(err, ErrClosed) {
			t.Errorf("afterwards: got %v, want ErrClosed", err)
		}
	})
}

func TestRequestsAreChecked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{}, &packet.Connack{})
		for _, filter := range []string{"", "a#", "$share//a", "a\x00"} {
			if _, err := c.Subscribe(context.Background(), packet.SubscribeFilter{Filter: filter}); err == nil {
				t.Errorf("subscribe to %q: got no error", filter)
			}
			if _, err := c.Unsubscribe(context.Background(), filter); err == nil {
				t.Errorf("unsubscribe from %q: got no error", filter)
			}
		}
		if _, err := c.Subscribe(context.Background()); err == nil { // [MQTT-3.8.3-2]
			t.Error("subscribe to nothing: got no error")
		}
		got := asking(func() ([]packet.ReasonCode, error) {
			return c.Subscribe(context.Background(), packet.SubscribeFilter{Filter: "a"})
		})
		p.want("nothing before this", &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "a"}}})
		p.send(&packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0, 0}}) // one too many
		p.want("protocol error", &packet.Disconnect{Reason: packet.ProtocolError})
		if a := <-got; a.err == nil {
			t.Errorf("got %+v, want an error", a)
		}
		must(t, p.conn.Close())
		<-c.Done()
	})
}

func TestRequestsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{}, &packet.Connack{})
		ctx, cancel := context.WithCancel(context.Background())
		for range maxRequests {
			asking(func() ([]packet.ReasonCode, error) { return c.Unsubscribe(ctx, "a") })
		}
		synctest.Wait()
		if _, err := c.Unsubscribe(ctx, "a"); err != ErrBusy {
			t.Errorf("got %v, want ErrBusy", err)
		}
		cancel()
		for range maxRequests {
			_, err := p.next(patience)
			must(t, err)
		}
		p.wantIdle("no more")
	})
}
