package broker

import (
	"testing"
	"testing/synctest"
	"time"

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

// told is links that know one edge.
type told struct {
	echo
	change chan [2]bool // known, connected
}

func (l *told) WatchEdges(stop <-chan struct{}, tell func(edge string, known, connected bool)) {
	for {
		select {
		case c := <-l.change:
			tell("edge-1", c[0], c[1])
		case <-stop:
			return
		}
	}
}

// Whether an edge is connected is told where Mosquitto tells it of its bridges: to subscribers as it changes, and to later ones as
// retained. A client with that id does not tell it.
func TestEdgesUnderSys(t *testing.T) {
	links := new(told)
	begin := func(c *Config) { links.change, c.Links, c.SysInterval = make(chan [2]bool), links, time.Hour }
	script(t, begin, func(b *bench) {
		message := func(payload string, retain bool) *packet.Publish {
			m := pub(topic.StateOf("edge-1"), payload)
			m.Retain = retain
			return m
		}
		subscribe := func(id string) *peer {
			p := b.client(packet.V311, id)
			p.Write(sub(1, "$SYS/broker/connection/#"))
			p.Want("subscribed", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
			return p
		}
		links.change <- [2]bool{true, true}
		synctest.Wait()
		early := subscribe("early")
		early.Want("retained", message("1", true))
		links.change <- [2]bool{true, false}
		early.Want("a change", message("0", false))
		p := b.client(packet.V5, "edge-1")
		p.Write(pubQ(1, 1, topic.StateOf("edge-1"), "1"))
		p.Want("the node tells it", ack(packet.PUBACK, 1, packet.NotAuthorized))
		links.change <- [2]bool{}
		early.Want("forgotten", message("", false))
		subscribe("late").WantIdle("nothing is retained any more")
		p.Write(pubQ(1, 2, topic.StateOf("edge-1"), "1"))
		p.Want("the node does not tell it", ack(packet.PUBACK, 2, packet.Success))
	})
}
