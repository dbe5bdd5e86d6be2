package bridge

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// One filter at which a plain broker ends the connection, asked for or withdrawn, holds up neither other subscriptions nor messages.
func TestOneFilterThatIsNotTaken(t *testing.T) {
	var log lockedLog
	b := newPlainBroker(t, packet.Properties{})
	b.present = true
	a := newNode(t, RoleEdge, "a", func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	sub := a.subscribe("s", "good/1", 1)
	for _, f := range []string{"bad", "good/2", "good/3", "later"} {
		a.router.Subscribe(sub, mqtt.Subscription{Filter: f, QoS: 1})
	}
	a.b.SetCores([]string{b.addr}, false)
	a.mustPublish("t", 1, "m0")
	c := playUntil(b, b.accept(), "bad", "m0")
	if !strings.Contains(log.String(), "it is left out") || !strings.Contains(log.String(), "filter=bad") {
		t.Errorf("got %s, want the filter", log.String())
	}
	a.router.Unsubscribe(sub, "later") // which was granted
	held := 4
	for end := time.Now().Add(patience); held != 3 && time.Now().Before(end); { // the good ones; interest lingers
		a.mustPublish("t", 1, "m1")
		c = playUntil(b, c, "later", "m1")
		rows, err := a.b.loadHeld(a.b.uplink.n, b.addr)
		if err != nil {
			t.Fatal(err)
		}
		held = len(rows)
	}
	if held != 3 {
		t.Errorf("got %d filters that the broker may hold, want 3", held)
	}
	a.drained("")
}

// playUntil grants everything but what has the filter bad, at which it says DISCONNECT, until it gets the message.
func playUntil(b *plainBroker, c *plainConn, bad, payload string) *plainConn {
	b.t.Helper()
	for range 100 {
		p, err := c.read()
		if err != nil {
			c = b.accept()
			continue
		}
		var filters []string
		switch p := p.(type) {
		case *packet.Subscribe:
			for _, f := range p.Filters {
				filters = append(filters, string(f.Filter))
			}
			c.grant(filters, bad, &packet.Suback{PacketID: p.PacketID, Reasons: make([]packet.ReasonCode, len(filters))})
		case *packet.Unsubscribe:
			for _, f := range p.Filters {
				filters = append(filters, string(f))
			}
			c.grant(filters, bad, &packet.Unsuback{PacketID: p.PacketID, Reasons: make([]packet.ReasonCode, len(filters))})
		case *packet.Publish:
			c.acknowledge(p, 0)
			if string(p.Payload) == payload {
				return c
			}
		}
	}
	b.t.Fatalf("%s did not come", payload)
	return nil
}

func (c *plainConn) grant(filters []string, bad string, answer packet.Packet) {
	for _, f := range filters {
		if f == bad {
			c.send(&packet.Disconnect{Reason: packet.MalformedPacket})
			c.conn.Close()
			return
		}
	}
	c.send(answer)
}

func TestShunned(t *testing.T) {
	var s shunned
	now := time.Now()
	filters := strings.Fields("a b c d")
	pick := func(i int) string { return filters[i] }
	if got := s.together(len(filters), pick); got != 4 {
		t.Errorf("got %d together, want all", got)
	}
	if s.objects(now, []string{"b", "c"}) {
		t.Error("got one of two left out")
	}
	if got := s.together(len(filters), pick); got != 1 {
		t.Errorf("got %d together, want a: b is a suspect", got)
	}
	s.grants([]string{"c"})
	for i := range suspicious {
		if out := s.objects(now, []string{"b"}); out != (i == suspicious-1) {
			t.Errorf("at %d: got left out %v", i, out)
		}
	}
	wanted := map[string]byte{"a": 1, "b": 1, "c": 1}
	if got := s.without(now, wanted); len(got) != 2 || s.has(now, "c") || !s.has(now, "b") {
		t.Errorf("got %v, want all but b", got)
	}
	if got := s.without(now.Add(shunFor), wanted); len(got) != 3 {
		t.Errorf("after %v: got %v, want all tried again", shunFor, got)
	}
	for i := range 2 * maxSuspects {
		s.objects(now, []string{fmt.Sprint(i), "x"})
	}
	if len(s.suspects) > maxSuspects {
		t.Errorf("got %d suspects, want at most %d", len(s.suspects), maxSuspects)
	}
}
