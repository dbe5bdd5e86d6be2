package paho

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/log"

	"mangrove/mqtt/packet"
)

// mute is a Pinger that never pings.
type mute struct{}

func (mute) Run(ctx context.Context, _ net.Conn, _ uint16) error {
	<-ctx.Done()
	return nil
}
func (mute) PacketSent()         {}
func (mute) PacketReceived()     {}
func (mute) PingResp()           {}
func (mute) SetDebug(log.Logger) {}

// silent promises a packet every so many seconds and does not keep the promise.
func silent(seconds uint16) how {
	return func(a *ask) { a.KeepAlive, a.config.PingHandler = seconds, mute{} }
}

// leaves is a will without anything special.
func leaves(qos byte) how {
	return withWill(paho.WillMessage{Topic: "w", Payload: []byte("gone"), QoS: qos}, nil)
}

// delayed is a will that waits.
func delayed(seconds uint32) how {
	return withWill(paho.WillMessage{Topic: "w", Payload: []byte("gone")}, &paho.WillProperties{WillDelayInterval: &seconds})
}

// watcher sees wills as they are published, with their QoS and RETAIN.
func (s *server) watcher() *client {
	s.t.Helper()
	w := s.client("watcher", fresh)
	w.subscribeTo(0, paho.SubscribeOptions{Topic: "w", QoS: 2, RetainAsPublished: true})
	return w
}

// endings are the ways a connection can end that let its will be published.
var endings = map[string]func(s *server, c *client){
	"closed": func(_ *server, c *client) { c.leave() },
	"silence": func(_ *server, c *client) {
		time.Sleep(2 * time.Second) // after 14
		c.wantGoneNow("1.5 times its keep alive", packet.KeepAliveTimeout)
	},
	"taken over": func(s *server, c *client) {
		s.client("c", keep)
		c.wantGone("taken over", packet.SessionTakenOver)
	},
	"protocol error": func(_ *server, c *client) {
		_, err := c.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "$share/g/t", NoLocal: true}}})
		if err == nil {
			c.t.Error("No Local on a shared subscription: got success, want an error")
		}
		c.wantGone("No Local on a shared subscription", packet.ProtocolError)
	},
	"asked for": func(_ *server, c *client) { c.bye(paho.Disconnect{ReasonCode: byte(packet.DisconnectWithWill)}) },
}

// However a connection ends but by a normal DISCONNECT, its will is published once, as it was asked for. [MQTT-3.1.2-7]
// [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.1.2-14] [MQTT-3.1.2-22] [MQTT-3.8.3-4]
func TestWill(t *testing.T) {
	t.Parallel()
	for name, end := range endings {
		for qos := range byte(3) {
			t.Run(fmt.Sprintf("%s QoS %d", name, qos), func(t *testing.T) {
				script(t, func(s *server) {
					w := s.watcher()
					c := s.client("c", fresh, leaves(qos), silent(10))
					time.Sleep(14 * time.Second)
					w.wantIdle("connected")
					end(s, c)
					w.want("will", pub(qos, "w", "gone"))
					time.Sleep(2 * time.Hour)
					w.wantIdle("once")
					late := s.client("late")
					late.subscribe("w", 0)
					late.wantIdle("not retained")
				})
			})
		}
	}
}

// A normal DISCONNECT takes the will back, and the next connection has one of its own or none. [MQTT-3.1.2-10] [MQTT-3.14.4-3]
func TestWillTakenBack(t *testing.T) {
	script(t, func(s *server) {
		w, c := s.watcher(), s.newClient("c")
		for _, has := range []how{leaves(1), delayed(5)} {
			c.connect(fresh, has)
			c.bye(paho.Disconnect{})
			time.Sleep(2 * time.Hour)
			w.wantIdle("DISCONNECT")
		}
		c.connect(keep, leaves(1))
		c.bye(paho.Disconnect{})
		c.connect(keep)
		c.leave()
		time.Sleep(2 * time.Hour)
		w.wantIdle("a connection without a will")
	})
}

// A will comes with its user properties in their order. The library does not send the other properties of a will, only
// its delay, so those are shown by package wire alone. [MQTT-3.1.3-10]
func TestWillProperties(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		w := s.watcher()
		users := paho.UserProperties{{Key: "z", Value: "1"}, {Key: "a", Value: ""}, {Key: "z", Value: "1"}}
		c := s.client("c", fresh, withWill(paho.WillMessage{Topic: "w", Payload: []byte("gone"), QoS: 2}, &paho.WillProperties{User: users}))
		w.leave() // what it wants waits for it
		c.leave()
		between(s)
		w.connect(keep)
		want := pub(2, "w", "gone")
		want.Properties = &paho.PublishProperties{User: users}
		w.want("will", want)
	})
}

// A will waits for its delay, or for the end of the session if that comes first. [MQTT-3.1.2-8]
func TestWillDelay(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		for _, test := range []struct {
			why           string
			expiry, delay uint32
		}{{"its delay", 3600, 60}, {"the session's end", 60, 3600}} {
			w := s.watcher()
			s.client("c", expiry(test.expiry), delayed(test.delay)).leave()
			time.Sleep(58 * time.Second)
			w.wantIdle("before " + test.why)
			between(s)
			w.connect(keep)
			w.wantIdle("still before " + test.why)
			time.Sleep(3 * time.Second)
			w.want(test.why, pub(0, "w", "gone"))
			w.bye(paho.Disconnect{})
		}
	})
}

// Who comes back within the delay stops the will, and has one for the next time; a clean start ends the session, and so
// the delay. [MQTT-3.1.3-9] [MQTT-3.1.2-8]
func TestWillDelayEndsWithTheNextConnection(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		w, c := s.watcher(), s.newClient("c")
		c.connect(fresh, delayed(60))
		c.leave()
		between(s)
		w.connect(keep)
		c.connect(keep)
		time.Sleep(time.Hour)
		w.wantIdle("it came back")
		c.connect(keep, delayed(60))
		c.leave()
		time.Sleep(30 * time.Second)
		c.connect()
		w.want("it started anew", pub(0, "w", "gone"))
		time.Sleep(time.Hour)
		w.wantIdle("once")
	})
}

// A retained will is there for those who come later. [MQTT-3.1.2-15]
func TestRetainedWill(t *testing.T) {
	eachWay(t, func(s *server, between func(*server)) {
		w := s.watcher()
		s.client("c", withWill(paho.WillMessage{Topic: "w", Payload: []byte("gone"), QoS: 1, Retain: true}, nil)).leave()
		w.want("live", retained(1, "w", "gone"))
		between(s)
		late := s.client("late")
		late.subscribe("w", 1)
		late.want("retained", retained(1, "w", "gone"))
	})
}

// A server that shuts down keeps the wills of those it disconnects. [MQTT-3.1.2-7] [MQTT-3.1.2-8]
func TestWillOverRestart(t *testing.T) {
	script(t, func(s *server) {
		w, c := s.watcher(), s.client("c", fresh, leaves(1))
		s.Restart()
		c.wantGone("shut down", packet.ServerShuttingDown)
		w.connect(keep)
		w.want("will", pub(1, "w", "gone"))
	})
}
