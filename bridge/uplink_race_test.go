package bridge

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/bridge/frame"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// silence is an address that takes connections and never says a word.
func silence(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { // ends with the listener; cleanup waits
		var conns []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, c := range conns {
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String()
}

// within fails the test when what takes longer than most.
func within(t *testing.T, most time.Duration, what string, ok func() bool) {
	t.Helper()
	begin := time.Now()
	eventually(t, what, ok)
	if took := time.Since(begin); took > most {
		t.Errorf("%s: took %v, want %v at most", what, took, most)
	}
}

// Addresses that cores told of and that lead nowhere cost a stagger each, once: then they are tried behind the one that works.
func TestAddressesThatLeadNowhere(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "t", 1)
	b := newNode(t, RoleEdge, "b", nil)
	nowhere := []frame.Core{{Name: "v", Addr: silence(t)}, {Name: "w", Addr: silence(t)}, {Name: "x", Addr: silence(t)}}
	b.b.learnCores(nowhere)
	b.b.SetCores([]string{x.addr}, true)
	within(t, 3*time.Second, "b is linked by way of its seed", func() bool { return b.status("x").State == "up" })
	u := b.b.uplink
	if got := u.candidates(); got[0].Addr != x.addr {
		t.Errorf("tried first is %v, want the seed, which answered", got[0])
	}
	u.n.link.Load().fail(errReplaced, nil)
	within(t, minStagger, "b is back", func() bool { return b.status("x").State == "up" && x.status("b").State == "up" })
	b.mustPublish("t", 1, "m")
	sub.want(t, "m")
}

// A core does not warn of connections that lost a race.
func TestConnectionWithoutAWordIsNoFailure(t *testing.T) {
	var log lockedLog
	x := newNode(t, RoleCore, "x", logged(&log))
	b := newNode(t, RoleEdge, "b", nil)
	d, err := b.b.reach(t.Context(), "x", x.addr)
	if err != nil {
		t.Fatal(err)
	}
	links := func() int { x.b.mu.Lock(); defer x.b.mu.Unlock(); return len(x.b.links) }
	eventually(t, "x has it", func() bool { return links() == 1 })
	d.drop()
	eventually(t, "x has let go of it", func() bool { return links() == 0 })
	if got := log.String(); got != "" {
		t.Errorf("x warns: %s", got)
	}
}

// The same for a broker that is no Mangrove node: the one that answers is the uplink, and what another one delivers meanwhile stays there.
func TestBrokerBehindAddressesThatLeadNowhere(t *testing.T) {
	for _, protocol := range []Protocol{ProtocolAuto, ProtocolMQTT} {
		t.Run(string(protocol), func(t *testing.T) {
			broker := newPlainBroker(t, packet.Properties{})
			b := newNode(t, RoleEdge, "b", func(c *Config) {
				c.Protocol, c.Balance = protocol, "round-robin"
				c.Rand = func(uint64) uint64 { return 0 }
			})
			b.b.SetCores([]string{silence(t), silence(t), broker.addr}, false)
			within(t, 3*time.Second, "b is linked", func() bool { return b.b.uplink.n.remote.Load() != nil })
			go func() { // ends with the message; the broker waits for it
				_ = b.publish("t", "m", 1, false)
			}()
			c := broker.accept()
			c.acknowledge(c.wantPublish("m"), packet.Success)
			b.drained("")
		})
	}
}

// What a broker delivers on a connection that is not wanted is neither taken nor acknowledged.
func TestUnwantedBrokerKeepsItsMessages(t *testing.T) {
	b := newNode(t, RoleEdge, "b", nil)
	sub := b.subscribe("s", "#", 1)
	l := &remoteLink{b: b.b, n: b.b.uplink.n, decided: make(chan struct{})}
	close(l.decided)
	l.take(&mqtt.Message{Topic: "t", Payload: []byte("m"), QoS: 1}, 1, 0)
	l.take(&mqtt.Message{Topic: "t", Payload: []byte("m")}, 0, 0)
	if got := sub.payloads(); len(got)+len(l.inbound)+len(l.acks) != 0 {
		t.Errorf("got %v, %d being kept, want nothing", got, len(l.inbound))
	}
}

// Where a core was there is a broker now, somebody else's behind the same NAT: nothing is sent there.
func TestBrokerInThePlaceOfACore(t *testing.T) {
	broker := newPlainBroker(t, packet.Properties{})
	b := newNode(t, RoleEdge, "b", nil)
	b.b.learnCores([]frame.Core{{Name: "x", Addr: broker.addr}})
	b.b.SetCores(nil, true)
	eventually(t, "it is tried", func() bool { return b.b.Status()[0].LastError == errNotLink.Error() })
	if b.b.uplink.n.remote.Load() != nil || len(broker.conns) != 0 {
		t.Error("speaks plain MQTT to what was told to be a core")
	}
}

func TestCandidatesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cores := func(kind string, n int) (list []frame.Core) {
			for i := range n {
				list = append(list, frame.Core{Addr: fmt.Sprint(kind, i)})
			}
			return list
		}
		u := &uplink{b: &Bridge{cfg: Config{Now: time.Now, Handshake: DefaultHandshake}}, silent: map[string]time.Time{}}
		order := func() (addrs []string) {
			for _, c := range u.arrangeLocked(cores("n", 8), cores("s", 3)) {
				addrs = append(addrs, c.Addr)
			}
			return addrs
		}
		want := func(why string, addrs ...string) {
			t.Helper()
			if got := order(); !slices.Equal(got, addrs) {
				t.Errorf("%s: got %v, want %v", why, got, addrs)
			}
		}
		want("two seeds need not wait", "n0", "n1", "n2", "n3", "s0", "s1", "n4", "n5", "n6", "n7", "s2")
		all := u.arrangeLocked(cores("n", 8), cores("s", 3))
		slow := make([]bool, len(all))
		slow[0], slow[2] = true, true
		u.remember(all, &raced[reached]{at: -1, slow: slow})
		want("nobody answered: it may be the line", "n0", "n1", "n2", "n3", "s0", "s1", "n4", "n5", "n6", "n7", "s2")
		u.remember(all, &raced[reached]{at: 4, slow: slow})
		want("silent ones are behind", "n1", "n3", "s0", "s1", "n4", "n5", "n6", "n7", "s2", "n0", "n2")
		u.remember(all, &raced[reached]{at: 0, slow: make([]bool, len(all))})
		want("one has answered", "n0", "n1", "n3", "s0", "s1", "n4", "n5", "n6", "n7", "s2", "n2")
		time.Sleep(silentFor + 1)
		want("an hour later", "n0", "n1", "n2", "n3", "s0", "s1", "n4", "n5", "n6", "n7", "s2")
	})
}

// One after the other where handshakes take long, and in one round of several where all fail.
func TestStaggerFollowsTheLine(t *testing.T) {
	u := &uplink{b: &Bridge{cfg: Config{Handshake: DefaultHandshake}}}
	for _, c := range []struct {
		took   time.Duration
		rounds int
		want   time.Duration
	}{
		{0, 0, minStagger}, {20 * time.Millisecond, 1, minStagger}, {time.Second, 2, 2 * time.Second}, {time.Minute, 0, DefaultHandshake},
		{0, 3, DefaultHandshake}, {0, 4, minStagger}, {0, 7, DefaultHandshake},
	} {
		if u.took = c.took; u.stagger(c.rounds) != c.want {
			t.Errorf("after a handshake of %v and %d rounds: got %v, want %v", c.took, c.rounds, u.stagger(c.rounds), c.want)
		}
	}
}

func TestWhyAllFailed(t *testing.T) {
	x, y := fmt.Errorf("dial x: refused"), fmt.Errorf("dial y: no answer")
	for want, errs := range map[string][]error{
		context.Canceled.Error(): {nil, nil}, "dial x: refused": {nil, x},
		"none of 2 addresses answers: dial x: refused; dial y: no answer": {y, nil, x},
	} {
		if got := joined(errs).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
