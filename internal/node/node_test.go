package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mangrove/bridge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(t *testing.T) Config {
	return Config{Name: "n", Data: t.TempDir(), Listen: []string{"127.0.0.1:0"}, HTTP: "127.0.0.1:0"}
}

func started(t *testing.T, role Role) *Node {
	t.Helper()
	n, err := New(config(t), role)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

func TestFailedDiskEndsTheNode(t *testing.T) {
	n := started(t, Role{Name: bridge.RoleEdge, Meet: func(*Node) error { return nil }})
	broken := errors.New("sync failed")
	n.fail(broken)
	n.fail(errors.New("again")) // nobody waits for a second one
	if err := <-n.Failed(); err != broken {
		t.Errorf("got %v, want the store's error", err)
	}
	if err := n.Ready(); err == nil || !strings.Contains(err.Error(), "sync failed") {
		t.Errorf("got %v, want the node not ready, and why", err)
	}
	if s := n.Status(); s.Ready || s.Reason != "sync failed" {
		t.Errorf("got status %t %q, want not ready, and why", s.Ready, s.Reason)
	}
}

func TestCloseGoesBackwards(t *testing.T) {
	var order []string
	n, err := New(config(t), Role{Name: bridge.RoleEdge, Meet: func(n *Node) error {
		for _, name := range []string{"first", "second"} {
			n.OnClose(name, func(context.Context) error {
				if err := n.store.Healthy(); err != nil {
					t.Errorf("%s: the store, opened earlier, is closed already: %v", name, err)
				}
				order = append(order, name)
				return errors.New(name + " hurts")
			})
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
	}
	err = n.Close(t.Context())
	if want := []string{"second", "first"}; !slices.Equal(order, want) {
		t.Errorf("got order %v, want %v", order, want)
	}
	if err == nil || !strings.Contains(err.Error(), "close first: first hurts") || !strings.Contains(err.Error(), "close second: second hurts") {
		t.Errorf("got %v, want both errors", err)
	}
}

func TestFailedMeetingUndoesTheStart(t *testing.T) {
	n, err := New(config(t), Role{Name: bridge.RoleEdge, Meet: func(*Node) error { return Fault("link.cores", "nobody there") }})
	if err != nil {
		t.Fatal(err)
	}
	err = n.Start(t.Context())
	var fault *ConfigError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "start neighbours: link.cores: nobody there") {
		t.Errorf("got %v, want the fault with the step's name", err)
	}
	if len(n.parts.opened) != 0 {
		t.Errorf("got %d parts open, want none", len(n.parts.opened))
	}
}

func TestReachable(t *testing.T) {
	n := &Node{cfg: Config{Gossip: Gossip{Address: "192.0.2.1:7946"}}}
	cases := map[string]string{
		"127.0.0.1:1": "127.0.0.1:1",
		"0.0.0.0:1":   "192.0.2.1:1",
		"[::]:1":      "192.0.2.1:1",
		":1":          "192.0.2.1:1",
		"core.test:1": "core.test:1",
	}
	for in, want := range cases {
		if got, err := n.reachable(in); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
	n.cfg.Gossip.Advertise = "198.51.100.7:7946"
	if got, err := n.reachable("0.0.0.0:1"); err != nil || got != "198.51.100.7:1" {
		t.Errorf("got %s, %v, want the advertised host", got, err)
	}
}

func TestResolve(t *testing.T) {
	cases := map[string]string{"127.0.0.1:7": "127.0.0.1:7", ":7": "[::]:7", "[::1]:7": "[::1]:7"}
	for in, want := range cases {
		if got, err := resolve(in); err != nil || got.String() != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
	if _, err := resolve("127.0.0.1:seven"); err == nil {
		t.Error("a port in words was resolved")
	}
}
