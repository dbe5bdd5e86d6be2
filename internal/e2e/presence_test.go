package e2e

import (
	"testing"

	mqttclient "mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// watched subscribes to filter at n, as client id.
func watched(t *testing.T, n *node, id, filter string) *client {
	t.Helper()
	c := dial(t, n.addr(), id)
	c.subscribe(filter, 1)
	return c
}

// An edge that is killed and back at once publishes the will of a clean session, and is connected all the time, as both cores tell it. One that is killed
// and stays away is not, until it is back.
func TestP1WillsAndPresenceOverKilledEdges(t *testing.T) {
	t.Parallel() // it waits for 3 s that cannot be configured
	core1, core2 := startCores(t)
	const states = "$SYS/broker/connection/+/state"
	atCores := []*client{watched(t, core1, "states", states), watched(t, core2, "states", states)}
	wantBoth := func(why, edge, state string) {
		t.Helper()
		for _, c := range atCores {
			c.want(why+", at "+c.addr, "$SYS/broker/connection/"+edge+"/state", state)
		}
	}
	back := startEdge(t, "edge-back", core1.addr())
	wantBoth("an edge is there", "edge-back", "1")
	away := startEdge(t, "edge-away", core2.addr())
	wantBoth("another one is there", "edge-away", "1")
	wills := watched(t, core2, "wills", "state/#")
	connectAs(t, mqttclient.Config{Addr: back.addr(), ClientID: "device", Version: packet.V311, Clean: true,
		Will: &packet.Will{Topic: "state/device", Payload: []byte("offline"), QoS: 1}})

	away.kill()
	back.kill()
	back.restart()
	wills.want("the will", "state/device", "offline")
	wantBoth("the edge is away", "edge-away", "0") // the next state that comes: none of edge-back came before it
	away.restart()
	wantBoth("the edge is back", "edge-away", "1")
	if again := len(wills.messages); again > 0 {
		t.Errorf("got the will %d times more, want it once", again)
	}
}
