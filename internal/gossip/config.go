package gossip

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"mangrove/internal/metrics"
	"mangrove/internal/setting"
)

// Config says who this node is and how it meets the others. Zero and negative numbers mean what package setting says.
type Config struct {
	Name string // node name, 1 to 128 bytes
	Bind string // IP:port to listen on, TCP and UDP; port 0 takes a free one

	// Advertise is host:port as others reach this node; "" = as bound (with a wildcard address: the
	// host's first private address). A missing port or port 0 is the bound one.
	Advertise string

	Join []string // host:port of nodes to meet; tried for as long as the pool lives

	// Key encrypts and authenticates gossip: 16, 24 or 32 bytes. nil = none, which needs Unencrypted
	// when Bind is not a loopback address.
	Key         []byte
	Unencrypted bool // allow Bind beyond loopback without Key

	Meta     Meta
	OnChange func([]Member) // see Start; may be nil

	Profile    Profile       // "" = LAN
	SuspectFor time.Duration // how long a dead node stays as suspect; zero = the profile's

	Log     *slog.Logger      // nil = discard
	Metrics *metrics.Registry // nil = counted for nobody

	tune func(*memberlist.Config) // for tests: changes what the profile says
}

// maxName bounds a node name, which travels in every message about the node.
const maxName = 128

// check fills in what was left out and refuses what cannot be.
func (c *Config) check() error {
	if len(c.Name) == 0 || len(c.Name) > maxName {
		return fmt.Errorf("name %q: got %d bytes, want 1 to %d", c.Name, len(c.Name), maxName)
	}
	bind, err := netip.ParseAddrPort(c.Bind)
	if err != nil {
		return fmt.Errorf("bind %q: want IP:port: %w", c.Bind, err)
	}
	if bind.Addr() == netip.IPv6Unspecified() && c.Advertise == "" {
		return fmt.Errorf("bind %s tells nobody where to find this node: advertise an address", c.Bind)
	}
	switch len(c.Key) {
	case 16, 24, 32:
	case 0:
		if !bind.Addr().IsLoopback() && !c.Unencrypted {
			return fmt.Errorf("bind %s is not a loopback address: set a key, or allow unencrypted gossip", c.Bind)
		}
	default:
		return fmt.Errorf("key: got %d bytes, want 16, 24 or 32", len(c.Key))
	}
	if c.Profile == "" {
		c.Profile = LAN
	}
	if c.Profile != LAN && c.Profile != Local {
		return fmt.Errorf("profile %q: want %q or %q", c.Profile, LAN, Local)
	}
	if err := setting.Default("SuspectFor", &c.SuspectFor, c.Profile.timing().suspectFor); err != nil {
		return err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
