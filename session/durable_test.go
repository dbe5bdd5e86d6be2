package session

import (
	"fmt"
	"testing"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

const hour = time.Hour

// A message that waits on disk goes out after a restart, in order, and is removed when acknowledged.
func TestQueueSurvivesRestart(t *testing.T) {
	n := newNode(t, true, nil)
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 2)
	s.Detach(out, mqtt.DetachRequest{})
	n.mustSend("t", 1, "a", "b", "c")
	n.restart()
	s, out, present := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	if !present {
		t.Fatal("got no session, want one")
	}
	out.want(t, "PUBLISH a qos 1 id 2", "PUBLISH b qos 1 id 3", "PUBLISH c qos 1 id 4")
	for id := uint16(2); id <= 4; id++ {
		if err := s.Acked(packet.PUBACK, id, 0); err != nil {
			t.Fatal(err)
		}
	}
	n.mustSend("t", 1, "d")
	out.want(t, "PUBLISH d qos 1 id 5")
	n.restart()
	_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	out.want(t, "PUBLISH d qos 1 id 5 dup")
	out.idle(t)
}

func TestWindowIsFilledFromDisk(t *testing.T) {
	n := newNode(t, true, func(c *Config) { c.WindowMessages, c.MaxInflight = 8, 4 })
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	for i := range 200 {
		n.mustSend("t", 1, fmt.Sprint(i))
	}
	for i := range 200 {
		out.want(t, fmt.Sprintf("PUBLISH %d qos 1 id %d", i, i+2))
		if err := s.Acked(packet.PUBACK, uint16(i+2), 0); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "queue is empty", func() bool { return s.info().Queued == 0 })
	out.idle(t)
}
