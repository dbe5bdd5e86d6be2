package core

import (
	"os"
	"path/filepath"
	"testing"

	"mangrove/internal/node"
	"mangrove/internal/sim"
)

// selfSigned writes a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	made, _, err := sim.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := sim.PEM(made)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, text := range map[string][]byte{cert: public, key: private} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// Two cores whose only listener wants a certificate of their authority, and whose gossip is encrypted.
func TestCoresLinkOverMutualTLS(t *testing.T) {
	cert, key := selfSigned(t)
	secured := func(name string, join ...string) *Node {
		cfg := config(t, name, join...)
		cfg.Node.Listen = []string{"tls://127.0.0.1:0"}
		cfg.Node.TLS = node.TLS{Cert: cert, Key: key, ClientCA: cert}
		cfg.Node.Dial.CA = cert
		cfg.Node.Gossip.Key = []byte("0123456789abcdef")
		return startWith(t, cfg)
	}
	a := secured("core-1")
	b := secured("core-2", a.Addrs().Gossip)
	for _, n := range []*Node{a, b} {
		eventually(t, n.Name()+" links over TLS", func() bool { return up(n) == 1 })
	}
	stranger := start(t, "core-3", a.Addrs().Gossip) // has no gossip key
	eventually(t, "the two stay two", func() bool { return len(a.Status().Members) == 1 && len(stranger.Status().Members) == 0 })
}
