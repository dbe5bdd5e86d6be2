package paho

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// Over every transport it is the same server: messages of all sizes up to the maximum go from each to each, and a
// connection that is cut leaves its will. [MQTT-4.2.0-1] [MQTT-3.1.2-8]
func TestTransports(t *testing.T) {
	all := everywhere(t)
	clients := map[string]*client{}
	for name, s := range all {
		c := s.client(name, leaves(1))
		c.subscribe("t", 1)
		clients[name] = c
	}
	for _, size := range []int{0, 100, 20_000, broker.DefaultMaxPacket - len(packetOf(t, pub(1, "t", ""))) - 2} { // its length takes 3 bytes, not 1
		m := pub(1, "t", strings.Repeat("x", size))
		if size > 20_000 && len(packetOf(t, m)) != broker.DefaultMaxPacket {
			t.Fatalf("got a packet of %d bytes, want %d", len(packetOf(t, m)), broker.DefaultMaxPacket)
		}
		for from, p := range clients {
			if got := p.publish(m); got != packet.Success {
				t.Errorf("%d bytes by %s: got %v, want success", size, from, got)
			}
			for to, w := range clients {
				if got := w.next(from + " to " + to); !bytes.Equal(got.Payload, m.Payload) {
					t.Errorf("%s to %s: got %d bytes, want %d", from, to, len(got.Payload), size)
				}
			}
		}
	}
	w := all["tcp"].client("watcher")
	w.subscribe("w", 1)
	for name, c := range clients {
		c.TerminateConnectionForTest()
		<-c.Done()
		w.want(name, pub(1, "w", "gone"))
	}
}

// packetOf is m as the library sends it.
func packetOf(t *testing.T, m *paho.Publish) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := m.Packet().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Packets need not end where segments, records and frames end: they come in pieces, and many at once. [MQTT-6.0.0-2]
func TestPiecesAndBursts(t *testing.T) {
	for name, s := range everywhere(t) {
		for _, most := range []int{1, 2, 7, 1000} {
			t.Run(fmt.Sprintf("%s by %d", name, most), func(t *testing.T) {
				pieces := &server{s.Server, t, func() net.Conn { return chopped{s.dial(), most} }}
				c := pieces.client("c", user("somebody"), leaves(2))
				c.subscribe("t", 2)
				m := pub(2, "t", strings.Repeat("x", 2000))
				m.Properties = &paho.PublishProperties{User: paho.UserProperties{{Key: "k", Value: "v"}}}
				c.publish(m)
				c.want("in pieces", m)
				if err := c.Disconnect(&paho.Disconnect{}); err != nil {
					t.Error(err)
				}
			})
		}
		t.Run(name+" at once", func(t *testing.T) {
			c, write := (&server{s.Server, t, s.dial}).around("c")
			c.subscribe("t", 0)
			var burst []io.WriterTo
			for i := range 100 {
				burst = append(burst, &packets.Publish{Topic: "t", Payload: fmt.Append(nil, i), Properties: &packets.Properties{}})
			}
			write(burst...)
			for i := range 100 {
				c.want("in order", pub(0, "t", fmt.Sprint(i)))
			}
			if err := c.Disconnect(&paho.Disconnect{}); err != nil {
				t.Error(err)
			}
		})
	}
}
