package node

import (
	"errors"
	"strings"
	"testing"
)

// Promise P7: nothing unauthenticated listens beyond loopback unless the operator says so.
func TestNothingOpenUnlessSaidSo(t *testing.T) {
	cases := []struct {
		why  string
		set  func(*Config)
		key  string // of the refusal; "" = accepted
		says string
	}{
		{"loopback needs nothing", func(c *Config) {}, "", ""},
		{"listener beyond loopback", func(c *Config) { c.Listen = []string{"127.0.0.1:1", "0.0.0.0:1883"} }, "listen", "allow_anonymous = true"},
		{"listener on every address", func(c *Config) { c.Listen = []string{":1883"} }, "listen", "--password-file"},
		{"anonymous by choice", func(c *Config) { c.Listen = []string{":1883"}; c.AllowAnonymous = true }, "", ""},
		{"passwords", func(c *Config) { c.Listen = []string{":1883"}; c.PasswordFile = "f" }, "", ""},
		{"certificates", func(c *Config) { c.Listen = []string{"tls://:8883"}; c.TLS = TLS{"c", "k", "ca"} }, "", ""},
		{"certificates on one only", func(c *Config) { c.Listen = []string{"tls://:8883", ":1883"}; c.TLS = TLS{"c", "k", "ca"} }, "listen", ":1883"},
		{"gossip in clear", func(c *Config) { c.Gossip.Address = "10.0.0.1:7946" }, "gossip.address", "--gossip-key-file"},
		{"gossip with a key", func(c *Config) { c.Gossip.Address = "10.0.0.1:7946"; c.Gossip.Key = make([]byte, 32) }, "", ""},
		{"gossip by choice", func(c *Config) { c.Gossip.Address = "10.0.0.1:7946"; c.Gossip.Insecure = true }, "", ""},
		{"gossip key of a wrong size", func(c *Config) { c.Gossip.Address = "127.0.0.1:1"; c.Gossip.Key = make([]byte, 5) }, "gossip.key_file", "5 bytes"},
		{"join without an address", func(c *Config) { c.Gossip.Join = []string{"a:1"} }, "gossip.join", "--gossip"},
		{"http in clear", func(c *Config) { c.HTTP = "0.0.0.0:80" }, "http.address", "http.insecure = true"},
		{"profiles", func(c *Config) { c.HTTP = "127.0.0.1:80"; c.HTTPProfile = true }, "", ""},
		{"open profiles", func(c *Config) { c.HTTP = "0.0.0.0:80"; c.HTTPInsecure = true; c.HTTPProfile = true }, "http.pprof", "loopback"},
		{"profiles nowhere", func(c *Config) { c.HTTP = ""; c.HTTPProfile = true }, "http.pprof", "loopback"},
		{"http by choice", func(c *Config) { c.HTTP = "0.0.0.0:80"; c.HTTPInsecure = true }, "", ""},
		{"tls without a certificate", func(c *Config) { c.Listen = []string{"tls://127.0.0.1:8883"} }, "listen", "tls.cert"},
		{"certificate without a key", func(c *Config) { c.TLS.Cert = "f" }, "tls.cert", "go together"},
		{"weights without the strategy", func(c *Config) { c.Shared.Weights = []string{"a=1"} }, "shared.weights", "weighted"},
		{"weights with it", func(c *Config) { c.Shared = Shared{"weighted", []string{"a=1"}} }, "", ""},
		{"no weight", func(c *Config) { c.Shared = Shared{"weighted", []string{"a"}} }, "shared.weights", "CLIENT=WEIGHT"},
		{"no strategy", func(c *Config) { c.Shared.Strategy = "fair" }, "shared.strategy", "round-robin"},
		{"no name", func(c *Config) { c.Name = "" }, "node", "name"},
		{"no folder", func(c *Config) { c.Data = "" }, "data", "folder"},
	}
	for _, c := range cases {
		cfg := Config{Name: "n", Data: "d", Listen: []string{"127.0.0.1:0"}, HTTP: "127.0.0.1:0"}
		c.set(&cfg)
		err := cfg.Check()
		var fault *ConfigError
		switch {
		case c.key == "" && err != nil:
			t.Errorf("%s: got %v, want it accepted", c.why, err)
		case c.key != "" && (!errors.As(err, &fault) || fault.Key != c.key || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: got %v, want a refusal of %s with %q", c.why, err, c.key, c.says)
		}
	}
}
