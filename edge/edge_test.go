package edge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/internal/dashboard"
	"mangrove/internal/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(t *testing.T) Config {
	return Config{
		Discovery: Static,
		Node: node.Config{
			Name: "edge-a", Version: "test", Data: t.TempDir(),
			Listen: []string{"127.0.0.1:0", "ws://127.0.0.1:0/mqtt"}, HTTP: "127.0.0.1:0",
		},
	}
}

func start(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
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

func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		t.Fatalf("get %s: %v", path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return resp.StatusCode, string(b)
}

// connect sends a CONNECT (3.1.1, clean session, client id "c") and wants a CONNACK that accepts it.
func connect(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c")); err != nil {
		t.Fatalf("write CONNECT: %v", err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "\x20\x02\x00\x00" {
		t.Fatalf("got %x, %v, want CONNACK with code 0", answer, err)
	}
	return c
}

func TestStartedMeansReady(t *testing.T) {
	n := start(t, config(t))
	a := n.Addrs()
	if a.Node != "edge-a" || len(a.Listen) != 2 || !strings.HasPrefix(a.Listen[0], "tcp://127.0.0.1:") || !strings.HasSuffix(a.Listen[1], "/mqtt") {
		t.Errorf("got %+v, want the bound addresses in full", a)
	}
	if code, body := get(t, a.HTTP, "/readyz"); code != 200 {
		t.Errorf("readyz got %d %q, want 200", code, body)
	}
	connect(t, strings.TrimPrefix(a.Listen[0], "tcp://"))
	_, body := get(t, a.HTTP, "/api/v1/status")
	var s dashboard.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("decode status: %v", err)
	}
	if s.Node != "edge-a" || s.Role != "edge" || s.Version != "test" || !s.Ready || s.Clients != 1 || s.Sessions != 1 || len(s.StoreID) != 16 {
		t.Errorf("got status %+v, want the one client in it", s)
	}
	if _, body := get(t, a.HTTP, "/metrics"); !strings.Contains(body, "mangrove_store_healthy 1") {
		t.Error("metrics lack mangrove_store_healthy 1")
	}
}

func TestStartsAgainOnItsData(t *testing.T) {
	cfg := config(t)
	n := start(t, cfg)
	id := n.Status().StoreID
	stop(t, n)
	if err := n.Ready(); err == nil {
		t.Error("a closed node calls itself ready")
	}
	stop(t, n) // twice
	if got := start(t, cfg).Status().StoreID; got != id {
		t.Errorf("got store id %s after a restart, want %s", got, id)
	}
}

func TestOneNodeOnOneFolder(t *testing.T) {
	cfg := config(t)
	start(t, cfg)
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v, want the folder refused", err)
	}
	stop(t, second)
}

func TestAddressInUse(t *testing.T) {
	first := start(t, config(t))
	cfg := config(t)
	cfg.Node.Listen = []string{"127.0.0.1:0", first.Addrs().Listen[0]}
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "start server: listen on") {
		t.Errorf("got %v, want an error that names the listener", err)
	}
	cfg.Node.Listen = []string{"127.0.0.1:0"}
	start(t, cfg) // the folder is free again
}

func TestStartGivenUp(t *testing.T) {
	n, err := New(config(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	cases := []struct {
		why string
		set func(*Config)
		key string
	}{
		{"open listener", func(c *Config) { c.Node.Listen = []string{"0.0.0.0:0"} }, "listen"},
		{"unknown discovery", func(c *Config) { c.Discovery = "dns" }, "link.discovery"},
		{"gossip without an address", func(c *Config) { c.Discovery = Gossip }, "link.discovery"},
		{"gossip address without gossip", func(c *Config) { c.Node.Gossip.Address = "127.0.0.1:0" }, "gossip.address"},
	}
	for _, c := range cases {
		cfg := config(t)
		c.set(&cfg)
		_, err := New(cfg)
		var fault *node.ConfigError
		if !errors.As(err, &fault) || fault.Key != c.key {
			t.Errorf("%s: got %v, want a fault of %s", c.why, err, c.key)
		}
	}
}

func TestPasswordsThatAreNotThere(t *testing.T) {
	cfg := config(t)
	cfg.Node.PasswordFile = "/nonexistent/passwords"
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "/nonexistent/passwords") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}
