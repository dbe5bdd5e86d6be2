package gossip

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// wire is a node's network, which can be cut: what it sends is lost, and nobody is reached.
type wire struct {
	memberlist.NodeAwareTransport
	cut *atomic.Bool
}

func (w wire) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if w.cut.Load() {
		return time.Now(), nil
	}
	return w.NodeAwareTransport.WriteToAddress(b, a)
}

func (w wire) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if w.cut.Load() {
		return nil, errors.New("no route")
	}
	return w.NodeAwareTransport.DialAddressTimeout(a, timeout)
}

// cuttable is a node that forgets the dead quickly, and whose network cut cuts.
func cuttable(name string, cut *atomic.Bool, join ...string) Config {
	cfg := config(name, join...)
	cfg.SuspectFor = time.Second
	cfg.tune = func(c *memberlist.Config) {
		c.GossipToTheDeadTime = 100 * time.Millisecond
		c.ProbeInterval, c.ProbeTimeout = 100*time.Millisecond, 50*time.Millisecond
		c.Transport = wire{c.Transport.(*transport), cut}
	}
	return cfg
}

// A partition that lasted until memberlist had forgotten the other side heals by itself.
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	var cut atomic.Bool
	a := start(t, cuttable("a", &cut))
	b := start(t, cuttable("b", &cut, a.Addr()))
	c := start(t, cuttable("c", &cut, a.Addr()))
	wantMembers(t, a, "b", "c")
	wantMembers(t, b, "a", "c")
	wantMembers(t, c, "a", "b")
	cut.Store(true)
	for _, p := range []*Pool{a, b, c} {
		wantMembers(t, p)
	}
	cut.Store(false)
	wantMembers(t, a, "b", "c")
	wantMembers(t, b, "a", "c")
	wantMembers(t, c, "a", "b")
}

// Nodes that knew each other only through a seed find each other although the seed is gone for good.
func TestPartitionHealsWithoutTheSeed(t *testing.T) {
	t.Parallel()
	var cut atomic.Bool
	seed := start(t, config("seed"))
	a := start(t, cuttable("a", &cut, seed.Addr()))
	b := start(t, cuttable("b", &cut, seed.Addr()))
	wantMembers(t, a, "b", "seed")
	wantMembers(t, b, "a", "seed")
	kill(t, seed)
	cut.Store(true)
	wantMembers(t, a)
	wantMembers(t, b)
	cut.Store(false)
	wantMembers(t, a, "b")
	wantMembers(t, b, "a")
}

// Above maxMembers new nodes are not taken in; known ones are.
func TestMembersAreBounded(t *testing.T) {
	t.Parallel()
	p, err := newPool(config("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.cancel()
	b := announcement{name: "b"}
	meta, err := b.encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxMembers {
		p.roster.seen(string(rune('A'+i)), "", b)
	}
	if err := (events{p}).NotifyAlive(&memberlist.Node{Name: "A", Meta: meta}); err != nil {
		t.Errorf("known node: got %v, want no error", err)
	}
	if err := (events{p}).NotifyAlive(&memberlist.Node{Name: "new", Meta: meta}); err == nil {
		t.Error("new node: got no error")
	}
	if err := (events{p}).NotifyAlive(&memberlist.Node{Name: "A", Meta: []byte("?")}); err == nil {
		t.Error("node with another's meta: got no error")
	}
}
