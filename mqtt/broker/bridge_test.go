package broker

import (
	"testing"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// A Mosquitto bridge of 3.1 or 3.1.1 does not get back what it sent, and gets RETAIN as it was published; a client of the same
// version gets both as the standard says. Its notification topic is kept for who subscribes under $SYS later.
func TestMosquittoBridge(t *testing.T) {
	for _, version := range []packet.Version{packet.V31, packet.V311} {
		script(t, nil, func(b *bench) {
			state := topic.StateOf("gw")
			bridge := b.client(version, "gw", func(c *packet.Connect) {
				c.Bridge, c.Will = true, &packet.Will{Topic: state, Payload: []byte("0"), QoS: 1, Retain: true}
			})
			plain := b.client(version, "plain")
			bridge.Write(sub(1, "#"))
			bridge.Want("subscribed", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
			plain.Write(sub(1, "#"))
			plain.Want("subscribed", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})

			own := pub("a", "from the gateway")
			bridge.Write(own)
			plain.Want("another client gets it", own)
			other := pub("a", "from above")
			other.Retain = true
			plain.Write(other)
			bridge.Want("RETAIN is as published, and its own did not come before", other)
			plain.Want("an echo, without RETAIN", pub("a", "from above"))

			up := pub(state, "1")
			up.Retain = true
			bridge.Write(up, &packet.Pingreq{})
			bridge.Want("still there", &packet.Pingresp{})
			if got := b.retained.byTopic[state]; got == nil || string(got.Payload) != "1" {
				t.Fatalf("got %+v retained at %s, want 1", got, state)
			}
		})
	}
}
