package broker

import (
	"fmt"
	"strings"
	"testing"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// aliases is a CONNECT that allows so many topic aliases.
func aliases(n uint16) func(*packet.Connect) {
	return func(c *packet.Connect) {
		c.Props = (&packet.Properties{TopicAliasMaximum: n}).Mark(packet.PropTopicAliasMaximum)
	}
}

// aliased is a PUBLISH with an alias.
func aliased(topic string, alias uint16, payload string) *packet.Publish {
	p := pub(topic, payload)
	p.Props = (&packet.Properties{TopicAlias: alias}).Mark(packet.PropTopicAlias)
	return p
}

func TestAliasesGiven(t *testing.T) { // [MQTT-3.1.2-26] [MQTT-3.3.2-10]
	script(t, nil, func(b *bench) {
		p, plain, old := b.client(packet.V5, "p", aliases(2)), b.client(packet.V5, "plain"), b.client(packet.V311, "old")
		for _, each := range []*peer{p, plain, old} {
			each.Write(sub(1, "#"))
			each.next()
		}
		from := b.client(packet.V5, "from")
		for _, step := range []struct {
			topic string
			want  *packet.Publish
		}{
			{"topic/1", aliased("topic/1", 1, "x")},
			{"topic/1", aliased("", 1, "x")},
			{"topic/2", aliased("topic/2", 2, "x")},
			{"topic/1", aliased("", 1, "x")},
			{"abc", pub("abc", "x")},                // an alias would be longer
			{"topic/3", aliased("topic/3", 2, "x")}, // that of the topic not used for the longest time
			{"topic/1", aliased("", 1, "x")},
			{"topic/2", aliased("topic/2", 2, "x")},
			{"topic/3", aliased("topic/3", 1, "x")},
		} {
			from.Write(pub(step.topic, "x"))
			p.Want(step.topic, step.want)
			plain.Want("allows none: [MQTT-3.1.2-27]", pub(step.topic, "x"))
			old.Want("3.1.1", pub(step.topic, "x"))
		}
	})
}

func TestAliasesOfAnotherConnection(t *testing.T) { // [MQTT-3.3.2-7]
	script(t, nil, func(b *bench) {
		from := b.client(packet.V5, "from")
		for range 2 {
			p := b.client(packet.V5, "p", aliases(5))
			p.Write(sub(1, "topic"))
			p.next()
			from.Write(pub("topic", "x"))
			p.Want("named again", aliased("topic", 1, "x"))
			p.Write(&packet.Disconnect{})
			p.WantClosed("goodbye")
		}
	})
}

// A message that was not sent gives no alias: too large, or no room.
func TestAliasOnlyWithWhatIsSent(t *testing.T) {
	script(t, nil, func(b *bench) {
		p := b.client(packet.V5, "p", func(c *packet.Connect) {
			aliases(5)(c)
			c.Props.MaximumPacketSize = 40
			c.Props.Mark(packet.PropMaximumPacketSize)
		})
		p.Write(sub(1, "topic/#"))
		p.next()
		from := b.client(packet.V5, "from")
		from.Write(pub("topic/1", strings.Repeat("x", 40)), pub("topic/1", "x"), pub("topic/1", strings.Repeat("y", 32)))
		p.Want("the first that fits names the topic", aliased("topic/1", 1, "x"))
		p.Want("fits thanks to the alias", aliased("", 1, strings.Repeat("y", 32)))
		p.WantIdle("the large one is dropped")
	})
}

func TestAliasesWithProperties(t *testing.T) {
	script(t, nil, func(b *bench) {
		p := b.client(packet.V5, "p", aliases(5))
		p.Write(sub(1, "topic/# 1"))
		p.next()
		from := b.client(packet.V5, "from")
		m := pubQ(1, 1, "topic/1", "x")
		m.Props = (&packet.Properties{ContentType: "text"}).Mark(packet.PropContentType)
		from.Write(m, pubQ(1, 2, "topic/1", "y"))
		first, second := aliased("topic/1", 1, "x"), aliased("", 1, "y")
		first.QoS, first.PacketID, first.Props.ContentType = 1, 1, "text"
		first.Props.Mark(packet.PropContentType)
		second.QoS, second.PacketID = 1, 2
		p.Want("the topic", first)
		p.Want("the alias", second)
	})
}

// Whatever is sent, what a client makes of it is what was meant, within the bound.
func TestAliasesModel(t *testing.T) {
	a := outAliases{}
	a.init(65535)
	if a.max != maxGiven {
		t.Fatalf("got %d aliases, want %d at most", a.max, maxGiven)
	}
	told := map[uint16]string{}
	for i := range 5000 {
		name := fmt.Sprint("topic/", i*i%97%(1+i%61))
		alias, known := a.lookLocked(name)
		if alias == 0 || int(alias) > maxGiven {
			t.Fatalf("got alias %d, want 1 to %d", alias, maxGiven)
		}
		if known && told[alias] != name {
			t.Fatalf("got alias %d for %s, the client knows it as %s", alias, name, told[alias])
		}
		if i%7 == 0 { // not sent
			continue
		}
		told[alias] = name
		a.sentLocked(name, alias, known)
	}
	if len(a.given) != maxGiven || len(a.index) != maxGiven {
		t.Errorf("got %d and %d entries, want %d", len(a.given), len(a.index), maxGiven)
	}
}

func BenchmarkPublishAliased(b *testing.B) {
	r := testRouter()
	srv, err := New(Config{Router: r, Sessions: newMemSessions(r), SysInterval: -1})
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []uint16{0, 32} {
		c := newConn(srv, "test", srv.grants, nowhere{})
		c.version = packet.V5
		c.given.init(n)
		m := &mqtt.Message{Topic: "building/7/floor/3/room/12/temperature", Payload: []byte("21.5")}
		b.Run(fmt.Sprint("aliases/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Publish(m, mqtt.Delivery{}, 0, false)
			}
		})
	}
}
