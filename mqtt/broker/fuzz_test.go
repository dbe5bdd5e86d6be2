package broker

import (
	"testing"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// FuzzConnection gives arbitrary bytes to a connection, before and after CONNECT: it may end, but not
// panic, and not hold more than was sent. [promise P7]
func FuzzConnection(f *testing.F) {
	for _, v := range []packet.Version{packet.V31, packet.V311, packet.V5} {
		var b []byte
		for _, p := range []packet.Packet{
			&packet.Connect{Version: v, ClientID: "a", CleanStart: true, Will: &packet.Will{Topic: "w", QoS: 1}},
			sub(1, "a/# 2", "$share/g/+"), pub("a/1", "x"), pubQ(1, 1, "a/1", "y"), pubQ(2, 2, "a/1", "z"),
			ack(packet.PUBREL, 2, 0), ack(packet.PUBACK, 1, 0), ack(packet.PUBREC, 2, 0), ack(packet.PUBCOMP, 2, 0),
			&packet.Unsubscribe{PacketID: 9, Filters: []string{"a/#"}}, &packet.Pingreq{}, &packet.Disconnect{},
		} {
			b = p.Append(b, v)
		}
		f.Add(b)
	}
	var b []byte
	allowed := method("ask")
	allowed.TopicAliasMaximum, allowed.MaximumPacketSize = 2, 60
	allowed.Mark(packet.PropTopicAliasMaximum).Mark(packet.PropMaximumPacketSize)
	for _, p := range []packet.Packet{
		&packet.Connect{Version: packet.V5, ClientID: "a", Props: allowed}, auth(packet.ContinueAuthentication, said("ask", "alice")),
		sub(1, "topic/# 1"), pub("topic/1", "x"), pub("topic/1", "y"), auth(packet.ReAuthenticate, method("ask")),
		pub("topic/2", "x"), auth(packet.ContinueAuthentication, said("ask", "alice")), pubQ(1, 1, "secret", ""),
	} {
		b = p.Append(b, packet.V5)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := testRouter()
		srv, err := New(Config{Router: r, Sessions: newMemSessions(r), Authority: asking{}, Links: &echo{}, SysInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		c := newConn(srv, "fuzz", srv.grants, nowhere{})
		s := srv.steps.get()
		want := 0
		for len(data) > 0 && err == nil {
			s.makeRoom(want)
			n := copy(s.buf[s.end:], data)
			s.end += n
			data = data[n:]
			want, err = c.handleAll(s)
			c.commit(s)
			if len(s.buf) > 2*readBuffer+2*s.end {
				t.Fatalf("got a buffer of %d bytes for %d", len(s.buf), s.end)
			}
		}
		c.shut(endingOf(errBye))
		c.leave()
		c.out.join()
	})
}

var _ mqtt.Outlet = (*conn)(nil)
