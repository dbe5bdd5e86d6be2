package e2e

import (
	"fmt"
	"os"
	"testing"

	"mangrove/internal/sim"
)

// retained is what a new subscriber gets at n: topic → payload.
func (n *node) retained(filter string) map[string]string {
	n.t.Helper()
	looks++
	c := dial(n.t, n.addr(), fmt.Sprint("look-", looks))
	c.subscribe("looked/"+c.id, 1)
	c.subscribe(filter, 1)
	c.publish("looked/"+c.id, "end", 1, false) // comes after what is retained
	held := map[string]string{}
	for m := range c.messages {
		if string(m.Payload) == "end" {
			break
		}
		held[m.Topic] = string(m.Payload)
	}
	c.end()
	return held
}

// looks numbers the clients of retained.
var looks int

// wantRetained waits until all nodes give new subscribers this.
func wantRetained(t *testing.T, why string, want map[string]string, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		var got map[string]string
		eventually(t, fmt.Sprintf("%s: %s holds %v", why, n.ready.Node, want), func() bool {
			got = n.retained("plant/#")
			return fmt.Sprint(got) == fmt.Sprint(want)
		})
	}
}

// After messages that were cleared and replaced elsewhere, a partition, and a core that comes back empty, all nodes hold the same.
func TestP9AgreeOnWhatIsRetained(t *testing.T) {
	f := startFleet(t)
	a, c, core := dial(t, f.edgeA.addr(), "a"), dial(t, f.edgeC.addr(), "c"), dial(t, f.core2.addr(), "core")
	for i := range 4 {
		a.publish(fmt.Sprint("plant/", i), "first", 1, true)
	}
	eventually(t, "the cores hold them", func() bool { return f.core1.status().Retained == 4 && f.core2.status().Retained == 4 })
	c.publish("plant/0", "", 1, true)
	core.publish("plant/1", "core's", 1, true)
	core.publish("plant/2", "", 1, true)
	eventually(t, "the edge that published it, and does not subscribe, holds it no more", func() bool { return f.edgeA.status().Retained == 2 })
	all := []*node{f.edgeA, f.core1, f.core2, f.edgeC}
	wantRetained(t, "cleared and replaced", map[string]string{"plant/1": "core's", "plant/3": "first"}, all...)

	f.uplink.Cut(sim.Fault{Reset: true, Refuse: true})
	a.publish("plant/1", "late", 1, true)
	a.publish("plant/3", "late", 1, true)
	a.publish("plant/4", "new", 1, true)
	c.publish("plant/1", "newest", 1, true)
	core.publish("plant/3", "", 1, true)
	f.uplink.Heal()
	want := map[string]string{"plant/1": "newest", "plant/4": "new"}
	wantRetained(t, "after the partition", want, all...)

	f.core1.stop()
	if err := os.RemoveAll(f.core1.dir); err != nil {
		t.Fatal(err)
	}
	f.core1.restart()
	wantRetained(t, "with a core that lost its disk", want, all...)
}
