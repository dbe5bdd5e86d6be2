package bridge

import (
	"strings"
	"testing"

	"mangrove/bridge/remote"
	"mangrove/mqtt/packet"
)

// Links and plain upstreams carry topics and filters of any depth: how deep clients may go is for the nodes to say where they
// publish, and a message that was acknowledged there must not end at the next node.
func TestDeepTopicsCross(t *testing.T) {
	deep := strings.Repeat("x/", 299) + "x"
	core := newCore(t, "core-1")
	a, b := newEdge(t, "a", core), newEdge(t, "b", core)
	sub := a.subscribe("s", deep+"/#", 1)
	core.wantInterest("a", deep+"/#", true)
	b.mustPublish(deep, 1, "m0")
	b.restart() // as it is kept
	b.dial(core)
	sub.want(t, "m0")

	plain := newPlainBroker(t, packet.Properties{})
	c := newNode(t, RoleEdge, "c", nil)
	c.mustPublish(deep, 1, "m0")
	c.restart()
	sub = c.subscribe("s", "#", 1)
	c.b.SetCores([]string{plain.addr}, false)
	conn := plain.accept()
	conn.wantSubscribe("#")
	conn.acknowledge(conn.wantPublish("m0"), 0)
	origin := &packet.Properties{User: []packet.UserProperty{{Name: remote.OriginProperty, Value: "0000000000000abc-7"}}}
	conn.send(&packet.Publish{Topic: []byte(deep), Payload: []byte("m1"), QoS: 1, PacketID: 1, Props: origin.Mark(packet.PropUser)})
	wantPacket[*packet.Ack](conn, "m1")
	sub.want(t, "m1")
}
