package wire

import (
	"context"
	"fmt"
	"testing"

	"mangrove/mqtt"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// Every fault ends the connection it came on, in 5.0 with its reason, and no other. [MQTT-4.13.1-1] [MQTT-4.13.2-1]
// [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2] [MQTT311-3.6.1-1]
// [MQTT311-3.14.1-1] [MQTT311-4.8.0-1]
func TestFaults(t *testing.T) {
	for _, fault := range []struct {
		why    string
		b      []byte
		reason packet.ReasonCode
	}{
		{"type 0", []byte{0x00, 0}, packet.MalformedPacket},
		{"CONNACK", []byte{0x20, 2, 0, 0}, packet.ProtocolError},
		{"SUBACK", []byte{0x90, 3, 0, 1, 0}, packet.ProtocolError},
		{"PINGRESP", []byte{0xD0, 0}, packet.ProtocolError},
		{"flags of PUBACK", []byte{0x41, 2, 0, 1}, packet.MalformedPacket},
		{"flags of PUBREC", []byte{0x52, 2, 0, 1}, packet.MalformedPacket},
		{"flags of PUBREL", []byte{0x60, 2, 0, 1}, packet.MalformedPacket},
		{"flags of PUBCOMP", []byte{0x72, 2, 0, 1}, packet.MalformedPacket},
		{"flags of PINGREQ", []byte{0xC1, 0}, packet.MalformedPacket},
		{"flags of DISCONNECT", []byte{0xE1, 0}, packet.MalformedPacket},
		{"too short", []byte{0x40, 1, 0}, packet.MalformedPacket},
		{"packet id 0", []byte{0x40, 2, 0, 0}, packet.ProtocolError},
		{"endless length", []byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}, packet.MalformedPacket},
	} {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			t.Run(fmt.Sprintf("level %d %s", v, fault.why), func(t *testing.T) {
				script(t, func(s *server) {
					p, other := s.client(v, "p"), s.client(v, "other")
					p.WriteBytes(append(fault.b, 0xC0, 0)...) // what follows is not handled
					p.WantGone(fault.why, fault.reason)
					other.Write(&packet.Pingreq{})
					other.Want("the other connection", &packet.Pingresp{})
				})
			})
		}
	}
	script(t, func(s *server) {
		p := s.client(packet.V5, "p")
		p.WriteBytes(0xF1, 0)
		p.WantGone("flags of AUTH", packet.MalformedPacket)
		old := s.client(packet.V311, "p")
		old.WriteBytes(0xF0, 0)
		old.WantClosed("AUTH before 5.0")
	})
}

// The length of a packet is written in as few bytes as possible; 5.0 only. [MQTT-1.5.5-1]
func TestLongLength(t *testing.T) {
	script(t, func(s *server) {
		p := s.client(packet.V5, "p")
		p.WriteBytes(0xC0, 0x80, 0)
		p.WantGone("two bytes for 0", packet.MalformedPacket)
	})
}

// DISCONNECT is for clients that were let in, has no session expiry, and nothing follows it. [MQTT-3.14.0-1]
// [MQTT-3.14.2-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-3.2.0-2]
func TestServerDisconnects(t *testing.T) {
	script(t, func(s *server) {
		in, out, old := s.client(packet.V5, "in", keep), s.peer(packet.V5), s.client(packet.V311, "old")
		out.WriteBytes(0x10, 30, 0, 4, 'M') // the rest of CONNECT is missing
		in.Subscribe("t", 0)
		p := s.client(packet.V5, "p")
		if err := s.Broker.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		got, ok := in.next().(*packet.Disconnect)
		if !ok || got.Reason != packet.ServerShuttingDown || got.Props.Has(packet.PropSessionExpiry) {
			t.Errorf("got %+v, want DISCONNECT without session expiry", got)
		}
		in.WantClosed("nothing after it")
		out.WantClosed("no DISCONNECT before CONNACK")
		old.WantClosed("no DISCONNECT before 5.0")
		p.WantGone("shutting down", packet.ServerShuttingDown)
	})
}

// CONNACK comes first, and once, however much comes with CONNECT. [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT311-3.2.0-1]
func TestConnackComesFirst(t *testing.T) {
	eachVersion(t, func(s *server, v packet.Version) {
		w := s.client(v, "w", keep)
		w.Subscribe("t", 1)
		w.Leave()
		s.publish(v, "t", "x")
		w = s.peer(v)
		w.Write(hello(v, "w", keep), &packet.Pingreq{}, pubQ(1, 1, "t", "y"))
		if got, ok := w.next().(*packet.Connack); !ok || got.Reason != packet.Success {
			t.Fatalf("got %+v, want CONNACK", got)
		}
		for m := w.next(); m != nil; m = w.next() {
			if m.Type() == packet.CONNACK {
				t.Fatal("got a second CONNACK")
			}
		}
		w.WantIdle("that was all")
	})
}

// Before 5.0 no code can say that a message was not kept: the connection closes instead. [MQTT-4.3.2-4] [MQTT-4.3.3-8]
// [MQTT311-4.8.0-2]
func TestNotKept(t *testing.T) {
	var router mqtt.Router
	eachVersionWith(t, func(c *broker.Config) { router = c.Router }, func(s *server, v packet.Version) {
		router.Subscribe(full{}, mqtt.Subscription{Filter: "t", QoS: 2})
		for qos := byte(1); qos <= 2; qos++ {
			p := s.client(v, "p")
			p.Write(pubQ(qos, 1, "t", "x"))
			if v != packet.V5 {
				p.WantClosed("not acknowledged")
				continue
			}
			want := received(qos, 1)
			want.Reason = packet.QuotaExceeded
			p.Want("told", want)
		}
	})
}

// full is a subscriber that has no room.
type full struct{}

func (full) Deliver(_ *mqtt.Message, _ mqtt.Delivery, r *mqtt.Receipt) { r.Refuse(mqtt.ErrQuota) }
func (full) ClientID() string                                          { return "full" }
func (full) Scope() mqtt.Scope                                         { return mqtt.ScopeClient }
func (full) Online() bool                                              { return true }
