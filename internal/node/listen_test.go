package node

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mangrove/bridge"
	"mangrove/internal/auth"
	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// listening starts a node with these listeners and a user who can only prove its password, and tells where
// they are.
func listening(t *testing.T, listen ...string) []string {
	t.Helper()
	cfg := config(t)
	cfg.Listen, cfg.PasswordFile = listen, filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(cfg.PasswordFile, []byte("device:"+auth.ScramHash("secret")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := New(cfg, Role{Name: bridge.RoleEdge, Meet: func(*Node) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n.server.Addrs()
}

func wantReason(t *testing.T, why string, err error, want packet.ReasonCode) {
	t.Helper()
	var got *client.Error
	if !errors.As(err, &got) || got.Reason != want {
		t.Errorf("%s: got %v, want %v", why, err, want)
	}
}

func TestSCRAMAgainstANode(t *testing.T) {
	addr := listening(t, "127.0.0.1:0")[0]
	dial := func(a client.Authenticator, user string) (*client.Client, error) {
		return client.Dial(t.Context(), client.Config{Addr: addr, ClientID: "c", Clean: true, Auth: a, Username: user, Password: []byte("secret")})
	}
	c, err := dial(client.NewScram("device", "secret"), "")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Reauthenticate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Disconnect(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = dial(client.NewScram("device", "guess"), "")
	wantReason(t, "wrong password", err, packet.BadUserNameOrPassword)
	_, err = dial(nil, "device")
	wantReason(t, "password in clear", err, packet.BadUserNameOrPassword)
	_, err = dial(other{client.NewScram("device", "secret")}, "")
	wantReason(t, "another method", err, packet.BadAuthenticationMethod)
}

// other is SCRAM under another name.
type other struct{ *client.Scram }

func (other) Method() string { return "SCRAM-SHA-1" }

func TestListenersGrantDifferently(t *testing.T) {
	addrs := listening(t, "127.0.0.1:0", "127.0.0.1:0?proxy&max-qos=1&shared=off", "127.0.0.1:0?moved-to=elsewhere:1883")
	dial := func(i int, header string) (*client.Client, error) {
		return client.Dial(t.Context(), client.Config{Addr: addrs[i], Clean: true, Auth: client.NewScram("device", "secret"),
			Dial: func(_ context.Context, addr string) (net.Conn, error) {
				c, err := net.Dial("tcp", addr)
				if err == nil {
					_, err = io.WriteString(c, header)
				}
				return c, err
			}})
	}
	c, err := dial(0, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(packet.Success)
	if c.Connack().Props.Has(packet.PropMaximumQoS) {
		t.Error("got a maximum QoS where none was set")
	}
	c, err = dial(1, "PROXY TCP4 192.0.2.1 192.0.2.2 40000 1883\r\n")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(packet.Success)
	if p := c.Connack().Props; p.MaximumQoS != 1 || !p.Has(packet.PropSharedAvailable) {
		t.Errorf("got %+v, want QoS 1 and nothing shared", p)
	}
	if _, err = dial(1, ""); err == nil {
		t.Error("got a connection without the proxy's header")
	}
	_, err = dial(2, "")
	wantReason(t, "moved", err, packet.ServerMoved)
	var refused *client.Error
	if errors.As(err, &refused) && !strings.Contains(refused.Props.ServerReference, "elsewhere") {
		t.Errorf("got %+v, want a server reference", refused.Props)
	}
}
