package paho

import (
	"context"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// CONNACK tells the server's bounds, where they are not those of the standard or the client asked for more. [MQTT-3.2.2-21]
// [MQTT-3.2.2-22] [MQTT-3.2.2-15]
func TestConnackTellsTheBounds(t *testing.T) {
	scriptWith(t, func(c *broker.Config) {
		c.MaxPacket, c.ReceiveMaximum, c.TopicAliasMaximum = 1000, 7, 3
		c.KeepAliveMax, c.SessionExpiryMax = 20*time.Second, time.Minute
	}, func(s *server) {
		got := s.newClient("a").connect(expiry(100), func(a *ask) { a.KeepAlive = 100 }).Properties
		if *got.MaximumPacketSize != 1000 || *got.ReceiveMaximum != 7 || *got.TopicAliasMaximum != 3 ||
			*got.ServerKeepAlive != 20 || *got.SessionExpiryInterval != 60 {
			t.Errorf("got %v, want 1000 bytes, 7 publishes, 3 aliases, 20 s and 60 s", got)
		}
		if !got.RetainAvailable || !got.WildcardSubAvailable || !got.SharedSubAvailable || !got.SubIDAvailable || got.MaximumQoS != nil {
			t.Errorf("got %v, want all of it available", got)
		}
		got = s.newClient("b").connect(expiry(50), func(a *ask) { a.KeepAlive = 10 }).Properties
		if got.ServerKeepAlive != nil || got.SessionExpiryInterval != nil && *got.SessionExpiryInterval != 50 {
			t.Errorf("got %v, want the client's own keep alive and expiry", got)
		}
	})
}

// A client may leave its id to the server, and come back under it. [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]
func TestAssignedClientID(t *testing.T) {
	script(t, func(s *server) {
		a, b := s.newClient(""), s.newClient("")
		first, second := a.connect(fresh).Properties.AssignedClientID, b.connect().Properties.AssignedClientID
		if first == "" || first == second || a.ClientID() != first {
			t.Fatalf("got client ids %q and %q, want two", first, second)
		}
		a.subscribe("t", 1)
		a.leave()
		b.publish(pub(1, "t", "kept"))
		a.id = first
		if !a.connect(keep).SessionPresent {
			t.Error("got no session under the assigned id, want it")
		}
		a.want("kept for it", pub(1, "t", "kept"))
	})
}

// A refusal has its reason and explains itself, and CONNACK tells of no session. [MQTT-3.2.2-6]
func TestConnectRefused(t *testing.T) {
	script(t, func(s *server) {
		for _, test := range []struct {
			id     string
			how    how
			reason packet.ReasonCode
		}{
			{"known", user("nobody"), packet.BadUserNameOrPassword},
			{"bad id", fresh, packet.ClientIdentifierNotValid},
			{"a", withWill(paho.WillMessage{Topic: "secret"}, nil), packet.NotAuthorized},
		} {
			got, err := s.newClient(test.id).tryConnect(keep, test.how)
			if err == nil || got == nil || got.ReasonCode != byte(test.reason) || got.SessionPresent || got.Properties.ReasonString == "" {
				t.Errorf("%s: got %v, %v; want %v with a reason string", test.id, got, err, test.reason)
			}
		}
	})
}

// A second connection of a client id takes the session over; others have nothing to do with it. [MQTT-3.1.4-3] [MQTT-3.1.3-2]
func TestTakeover(t *testing.T) {
	script(t, func(s *server) {
		first, other, second := s.client("a", fresh), s.client("b"), s.newClient("a")
		first.subscribe("t", 1)
		if !second.connect(keep).SessionPresent {
			t.Error("got no session, want the one taken over")
		}
		first.wantGone("taken over", packet.SessionTakenOver)
		if got := other.publish(pub(1, "t", "x")); got != packet.Success {
			t.Errorf("got %v, want success", got)
		}
		second.want("the session goes on", pub(1, "t", "x"))
	})
}

// [MQTT-3.1.2-28]
func TestResponseInformation(t *testing.T) {
	scriptWith(t, func(c *broker.Config) { c.ResponseInfo = "answers/" }, func(s *server) {
		if got := s.newClient("a").connect().Properties.ResponseInfo; got != "" {
			t.Errorf("got %q, want none unless asked for", got)
		}
		if got := s.newClient("b").connect(func(a *ask) { a.Properties.RequestResponseInfo = true }).Properties.ResponseInfo; got != "answers/" {
			t.Errorf("got %q, want answers/", got)
		}
	})
}

// Who wants no problem information gets no reason strings but in CONNACK and DISCONNECT. [MQTT-3.1.2-29]
func TestProblemInformation(t *testing.T) {
	script(t, func(s *server) {
		for _, wants := range []bool{true, false} {
			c := s.client("a", func(a *ask) { a.Properties.RequestProblemInfo = wants })
			got, err := c.Publish(context.Background(), pub(1, "secret", "x"))
			if got == nil || got.ReasonCode != byte(packet.NotAuthorized) {
				t.Fatalf("got %v, %v; want a refusal", got, err)
			}
			if (got.Properties.ReasonString != "") != wants {
				t.Errorf("wants %v: got reason string %q", wants, got.Properties.ReasonString)
			}
		}
	})
}

// User properties of CONNECT are no obstacle, and the user name and password are what they are. [MQTT-3.1.3-1] [MQTT-1.5.7-1]
func TestConnectWithAllFields(t *testing.T) {
	script(t, func(s *server) {
		w := s.client("watcher")
		w.subscribe("w", 0)
		c := s.client("c", user("somebody"), window(10), atMost(1000), fresh, withWill(paho.WillMessage{Topic: "w", Payload: []byte("gone")}, nil),
			func(a *ask) {
				a.PasswordFlag, a.Password = true, []byte{0, 255}
				a.Properties.User = paho.UserProperties{{Key: "z", Value: "1"}, {Key: "a", Value: ""}, {Key: "z", Value: "1"}}
				a.Properties.TopicAliasMaximum = paho.Uint16(3)
			})
		c.leave()
		w.want("the will was read as such", pub(0, "w", "gone"))
	})
}
