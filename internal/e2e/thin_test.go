package e2e

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"mangrove/internal/sim"
)

// A thin line on which a picture and a backlog take longer than the keep-alive. In the long form the line is that of a modem.
func TestP1KeptOverAThinLine(t *testing.T) {
	f := startFleet(t)
	f.edgeA.stop()
	edge := startEdge(t, "edge-thin", f.uplink.Addr(), withConfig(t, "role = \"edge\"\n[link]\nkeep_alive = \""+scaled("1s", "15s")+"\"\n")...)
	sensor := dial(t, edge.addr(), "sensor")
	sub := f.subscribed(t, sensor, "display", "t", "t", 1)
	f.uplink.Cut(sim.Fault{Reset: true, Refuse: true})
	eventually(t, "the link is down", func() bool { return edge.linksUp() == 0 })
	picture := make([]byte, scaled(60_000, 300_000))
	rand.Read(picture)
	n := scaled(10, 300)
	sensor.publish("t", string(picture), 1, false)
	filler := strings.Repeat("x", 1000)
	for range n {
		rand.Read(picture[:500]) // does not compress
		sensor.publish("t", filler[:500]+string(picture[:500]), 1, false)
	}
	f.uplink.SetRate(scaled(50_000, 4000))
	ups := strings.Count(edge.log.String(), "link up")
	f.uplink.Heal()
	if m := sub.arrives(t, scaled(1, 20)); len(m) != len(picture) || bytes.Equal(m[:500], picture[:500]) {
		t.Errorf("got a message of %d bytes first, want the picture of %d", len(m), len(picture))
	}
	for range n {
		sub.arrives(t, scaled(1, 20))
	}
	if got := strings.Count(edge.log.String(), "link up") - ups; got != 1 {
		t.Errorf("the link came up %d times, want once: what moves is alive", got)
	}
}

// arrives takes one message, and waits for so many times as long as for others.
func (c *client) arrives(t *testing.T, times int) []byte {
	t.Helper()
	for range times {
		select {
		case m := <-c.messages:
			return m.Payload
		case <-afterWait():
		}
	}
	t.Fatal("no message came over the thin line")
	return nil
}
