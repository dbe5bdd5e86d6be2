package core

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/internal/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(t *testing.T, name string, join ...string) Config {
	return Config{Node: node.Config{
		Name: name, Data: t.TempDir(), Listen: []string{"127.0.0.1:0"}, HTTP: "127.0.0.1:0",
		Gossip: node.Gossip{Address: "127.0.0.1:0", Join: join},
	}}
}

func start(t *testing.T, name string, join ...string) *Node {
	t.Helper()
	return startWith(t, config(t, name, join...))
}

func startWith(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatalf("start %s: %v", cfg.Node.Name, err)
	}
	t.Cleanup(func() { stop(t, n) })
	return n
}

func stop(t *testing.T, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func eventually(t *testing.T, why string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(10*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 10 s: %s", why)
		case <-tick.C:
		}
	}
}

// up counts the links of n that carry messages.
func up(n *Node) (count int) {
	for _, l := range n.Status().Links {
		if l.State == "up" {
			count++
		}
	}
	return count
}

func TestCoresFindEachOtherAndLink(t *testing.T) {
	a := start(t, "core-1")
	b := start(t, "core-2", a.Addrs().Gossip)
	c := start(t, "core-3", b.Addrs().Gossip)
	for _, n := range []*Node{a, b, c} {
		eventually(t, n.Addrs().Node+" links to both others", func() bool { return len(n.Status().Members) == 2 && up(n) == 2 })
	}
	stop(t, c)
	for _, n := range []*Node{a, b} {
		eventually(t, n.Addrs().Node+" sees the third leave", func() bool { return len(n.Status().Members) == 1 && up(n) == 1 })
	}
}

func TestCoreNeedsGossip(t *testing.T) {
	_, err := New(Config{Node: node.Config{Name: "core-1", Data: t.TempDir()}})
	var fault *node.ConfigError
	if !errors.As(err, &fault) || fault.Key != "gossip.address" {
		t.Errorf("got %v, want a fault of gossip.address", err)
	}
}
