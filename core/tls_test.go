package core

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mangrove/internal/node"
)

// selfSigned writes a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "core"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return writePEM(t, dir, "CERTIFICATE", public), writePEM(t, dir, "PRIVATE KEY", secret)
}

func writePEM(t *testing.T, dir, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, kind+".pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
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
