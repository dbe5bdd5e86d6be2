package broker

import (
	"os"
	"path/filepath"
	"testing"

	authority "mangrove/internal/auth"
	"mangrove/mqtt"
	"mangrove/mqtt/mqtttest"
	"mangrove/mqtt/packet"
)

// dollarNames says what a client may do with topics that begin with "$", and what becomes of RETAIN there.
var dollarNames = []struct {
	name      string
	publish   bool
	retained  bool // of what may be published
	subscribe bool // with the name as the filter
}{
	{name: "a/x", publish: true, retained: true, subscribe: true},
	{name: "a/$SYS/x", publish: true, retained: true, subscribe: true},
	{name: "$", publish: true, retained: true, subscribe: true},
	{name: "$/", publish: true, retained: true, subscribe: true},
	{name: "$other", publish: true, retained: true, subscribe: true},
	{name: "$other/x", publish: true, retained: true, subscribe: true},
	{name: "$queue/x", publish: true, retained: true, subscribe: true},
	{name: "$fleet/x", publish: true, retained: true, subscribe: true},
	{name: "$delayed/5/x", publish: true, retained: true, subscribe: true},
	{name: "$delayed/5/$SYS/x", publish: true, retained: true, subscribe: true},
	{name: "$history/x", publish: true, retained: true, subscribe: true},
	{name: "$SYS", subscribe: true},
	{name: "$SYS/", subscribe: true},
	{name: "$SYS/x", subscribe: true},
	{name: "$SYS/broker/version", subscribe: true},
	{name: "$SYS/broker/connection/nobody", subscribe: true},
	{name: "$SYS/broker/connection/other/state", subscribe: true},
	{name: "$SYSTEM/x", publish: true, retained: true, subscribe: true},
	{name: "$sys/x", publish: true, retained: true, subscribe: true},
	{name: "$link"},
	{name: "$link/"},
	{name: "$link/data"},
	{name: "$link/data/x"},
	{name: "$links/data", publish: true, retained: true, subscribe: true},
	{name: "$share", publish: true, retained: true, subscribe: true},
	{name: "$share/g", publish: true, retained: true, subscribe: false}, // no valid filter
	{name: "$share/g/x", publish: true, retained: true, subscribe: true},
	{name: "$share/g/$SYS/x", publish: true, retained: true, subscribe: true},
	{name: "$share/g/$link/x", publish: true, retained: true, subscribe: false},
	{name: "$share/$link/x", publish: true, retained: true, subscribe: true}, // a group with that name
	{name: "$share/g/$other/x", publish: true, retained: true, subscribe: true},
	{name: "$share/g/$share/h/x", publish: true, retained: true, subscribe: true},
	{name: "$share/g/$share/h/$link/x", publish: true, retained: true, subscribe: false},
}

// What the node keeps for itself, and what becomes of the other topics that begin with "$", for a client without a
// name, for a user, and for another node.
func TestDollarTopics(t *testing.T) {
	script(t, dollarRights(t), func(b *bench) {
		k := &mqtttest.Keeper{}
		for _, c := range dollarNames {
			b.router.Subscribe(k, mqtt.Subscription{Filter: "$share/all/" + c.name})
		}
		b.dollarClient(k, "nobody")
		b.dollarClient(k, "user", func(c *packet.Connect) {
			c.HasUser, c.Username, c.HasPass, c.Password = true, "user", true, []byte("secret")
		})
	})
}

// dollarRights are those of a node with a password file.
func dollarRights(t *testing.T) func(*Config) {
	path := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(path, []byte("user:"+authority.Hash("secret")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *Config) {
		var err error
		if c.Authority, err = authority.New(authority.Config{PasswordFile: path, AllowAnonymous: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// dollarClient has one client publish and subscribe everywhere.
func (b *bench) dollarClient(k *mqtttest.Keeper, id string, change ...func(*packet.Connect)) {
	p := b.client(packet.V5, id, change...)
	for _, c := range dollarNames {
		k.Forget()
		clear(b.retained.byTopic)
		m := pubQ(1, 1, c.name, "payload")
		m.Retain = true
		p.Write(m)
		p.Want(id+" publishes to "+c.name, ack(packet.PUBACK, 1, reasonIf(c.publish)))
		if got := len(k.Got) == 1; got != c.publish {
			b.t.Errorf("%s publishes to %s: delivered %v, want %v", id, c.name, got, c.publish)
		}
		if got := b.retained.byTopic[c.name] != nil; got != c.retained {
			b.t.Errorf("%s publishes to %s: retained %v, want %v", id, c.name, got, c.retained)
		}
		clear(b.retained.byTopic)
		b.dollarSubscribe(p, c.name, c.subscribe)
	}
	for filter, may := range map[string]bool{
		"#": true, "$SYS/#": true, "$other/#": true, "$link/#": false, "$link/+": false, "$share/g/#": true,
		"$share/g/$link/#": false, "$share/g/$link": false, "$share/a/$share/b/$share/c/$link/#": true,
	} {
		b.dollarSubscribe(p, filter, may)
	}
	b.dollarWill(id, change)
}

func (b *bench) dollarSubscribe(p *peer, filter string, may bool) {
	b.t.Helper()
	p.Write(sub(1, filter))
	got, ok := p.next().(*packet.Suback)
	if !ok || (got.Reasons[0] < 0x80) != may {
		b.t.Errorf("subscribing to %s: got %+v, want permitted %v", filter, got, may)
	}
	p.Write(&packet.Unsubscribe{PacketID: 1, Filters: []string{filter}})
	if got, ok := p.next().(*packet.Unsuback); !ok {
		b.t.Errorf("unsubscribing from %s: got %+v, want UNSUBACK", filter, got)
	}
}

// dollarWill has the client come with each topic as its will's.
func (b *bench) dollarWill(id string, change []func(*packet.Connect)) {
	for _, c := range dollarNames {
		p := b.peer(packet.V5)
		connect := &packet.Connect{Version: packet.V5, ClientID: id, CleanStart: true, Will: &packet.Will{Topic: c.name}}
		for _, fn := range change {
			fn(connect)
		}
		p.Write(connect)
		if got, ok := p.next().(*packet.Connack); !ok || got.Reason != reasonIf(c.publish) {
			b.t.Errorf("%s has a will for %s: got %+v, want %v", id, c.name, got, reasonIf(c.publish))
		}
		p.Write(&packet.Disconnect{})
	}
}

func reasonIf(may bool) packet.ReasonCode {
	if may {
		return packet.Success
	}
	return packet.NotAuthorized
}

// On a link, what is not under "$link/" is no frame; what the link then publishes is for the bridge to judge, and the
// Router takes it.
func TestDollarTopicsOfLinks(t *testing.T) {
	for name, frame := range map[string]bool{
		"$link/data": true, "$link/": true, "$link": false, "$links/data": false, "$SYS/x": false, "$share/g/x": false,
		"$other/x": false, "$": false, "a/x": false,
	} {
		links := &echo{}
		script(t, func(c *Config) { c.Links = links }, func(b *bench) {
			p := b.link()
			p.next()
			p.Write(pub(name, "payload"))
			if frame {
				p.Want(name, pub(name, "payload"))
				return
			}
			p.WantDisconnect(name, packet.ProtocolError)
		})
	}
}

// A part of the node that takes what is published under a prefix is a Subscriber: it gets the message with the
// publisher's receipt, and the acknowledgement waits for it.
func TestSubscriberOfAPrefix(t *testing.T) {
	script(t, nil, func(b *bench) {
		k := &mqtttest.Keeper{}
		b.router.Subscribe(k, mqtt.Subscription{Filter: "$delayed/#", QoS: 2})
		p := b.client(packet.V5, "p")
		p.Write(pubQ(1, 1, "$delayed/5/x", "payload"), pubQ(1, 2, "x", "payload"))
		p.WantIdle("not kept yet")
		if got := k.Topics(); len(got) != 1 || got[0] != "$delayed/5/x" {
			t.Fatalf("got %q, want what is under the prefix", got)
		}
		k.Release(0, nil)
		p.Want("kept", ack(packet.PUBACK, 1, packet.Success))
		p.Want("another topic", ack(packet.PUBACK, 2, packet.NoMatchingSubscribers))
	})
}
