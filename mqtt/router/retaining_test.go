package router

import (
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/mqtttest"
)

// during is a Retained that calls itself for each Set.
type during func(m *mqtt.Message)

func (d during) Set(m *mqtt.Message, _ *mqtt.Receipt)                                     { d(m) }
func (during) Match(string, time.Time, func(*mqtt.Message) bool)                          {}
func (during) Replay(string, time.Time, uint64, func(*mqtt.Message, mqtt.Retention) bool) {}
func (during) Holds(string, mqtt.Origin) bool                                             { return false }

// A retained message is wholly before a subscription or wholly after it: who subscribes while one is under way waits, is not
// given it, and is told that it came before. One that comes later is delivered, also by a publisher that had looked the topic up before.
// [MQTT-3.3.1-12]
func TestSubscribeBesideARetainedMessage(t *testing.T) {
	late := &mqtttest.Keeper{}
	subscribed := make(chan mqtt.Subscribed, 1)
	var r *Router
	busy := true
	r = New(Config{Life: 7, NextID: counter(), Retained: during(func(*mqtt.Message) {
		if !busy {
			return
		}
		go func() { subscribed <- r.Subscribe(late, mqtt.Subscription{Filter: "t"}) }()
		select {
		case done := <-subscribed:
			t.Error("a subscription was registered while a retained message was under way")
			subscribed <- done
		case <-time.After(20 * time.Millisecond):
		}
	})})
	for _, cached := range []bool{false, true} {
		var c Cache
		to, err := c.Get(r, "p", []byte("t"), 8)
		if err != nil {
			t.Fatal(err)
		}
		send := func() *mqtt.Message {
			m := &mqtt.Message{Topic: "t", Retain: true, Publisher: "p"}
			rc := mqtt.NewReceipt(new(batch.Batch), nil)
			if cached {
				r.PublishTo(to, m, rc)
			} else {
				r.Publish(m, rc)
			}
			rc.Close()
			return m
		}
		busy = true
		before := send()
		done := <-subscribed
		busy = false
		after := send()
		if len(late.Got) != 1 || late.Got[0].ID != after.ID {
			t.Errorf("cached %t: got %d messages, want the one after the subscription", cached, len(late.Got))
		}
		if before.ID > done.Since || after.ID <= done.Since {
			t.Errorf("cached %t: got Since %d, want it between %d and %d", cached, done.Since, before.ID, after.ID)
		}
		late.Got = nil
		r.Unsubscribe(late, "t")
	}
}
