// Package edge is the broker beside the devices. It serves local clients whatever becomes of its
// uplink, and links to one core at a time.
//
//	clients ⇄ broker ⇄ router ⇄ uplink (queue on disk) ⇄ a core
//	                                ▲
//	     seeds, static, gossip ─────┘ which cores there are
//
// What it is made of is in package internal/node; here is only whom an edge links to.
package edge

import (
	"errors"
	"slices"
	"time"

	"mangrove/bridge"
	"mangrove/internal/node"
)

// Discovery is how an edge finds cores.
type Discovery string

const (
	Seeds  Discovery = "seeds"  // the given ones and those they tell of, which race; the list is kept on disk
	Static Discovery = "static" // the given ones only
	Gossip Discovery = "gossip" // members of the gossip pool; while it hears of no core, those that cores told of last
)

// Config of an edge. Node says what every node needs.
type Config struct {
	Node      node.Config
	Cores     []string        // HOST:PORT or URLs of listeners of cores, or of any MQTT 5 broker; none = no uplink but by gossip
	Discovery Discovery       // "" = Seeds
	Protocol  bridge.Protocol // what to speak to them; "" = bridge.ProtocolAuto
	Up        []string        // filters of what always goes up; nil = "#", which is all but $ topics
	Early     time.Duration   // how long a message that only goes up waits for a core to acknowledge it before it is written; 0 = it is written first
}

// Check tells everything that is wrong with c, each a *node.ConfigError, joined.
func (c Config) Check() error {
	faults := []error{c.Node.Check()}
	known := []Discovery{"", Seeds, Static, Gossip}
	spoken := []bridge.Protocol{"", bridge.ProtocolAuto, bridge.ProtocolMangrove, bridge.ProtocolMQTT}
	if !slices.Contains(spoken, c.Protocol) {
		faults = append(faults, node.Fault("link.protocol", "found %q, want %s, %s or %s", c.Protocol, spoken[1], spoken[2], spoken[3]))
	}
	if c.Early < 0 {
		faults = append(faults, node.Fault("link.early", "is %v, must not be negative", c.Early))
	}
	gossips := c.Node.Gossip.Address != ""
	switch {
	case !slices.Contains(known, c.Discovery):
		faults = append(faults, node.Fault("link.discovery", "found %q, want %s, %s or %s", c.Discovery, Seeds, Static, Gossip))
	case c.Discovery == Gossip && !gossips:
		faults = append(faults, node.Fault("link.discovery", "gossip needs gossip.address (--gossip)"))
	case c.Discovery != Gossip && gossips:
		faults = append(faults, node.Fault("gossip.address", "is for link.discovery = \"gossip\" (--discovery gossip), found %q", c.Discovery))
	}
	return errors.Join(faults...)
}

// Node is a running edge.
type Node struct{ *node.Node }

// New checks cfg; Start opens everything.
func New(cfg Config) (*Node, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Discovery == "" {
		cfg.Discovery = Seeds
	}
	n, err := node.New(cfg.Node, node.Role{
		Name: bridge.RoleEdge,
		Bridge: func(b *bridge.Config) {
			b.UplinkFilters, b.Protocol, b.EarlyPatience = cfg.upward(), cfg.Protocol, cfg.Early
		},
		Meet: func(n *node.Node) error { return meet(n, &cfg) },
	})
	if err != nil {
		return nil, err
	}
	return &Node{n}, nil
}

// upward is what goes up: nothing on an edge that has no cores and no way to find any, which would otherwise queue for
// them until the disk's bound.
func (c *Config) upward() []string {
	if c.Discovery != Gossip && len(c.Cores) == 0 {
		return []string{}
	}
	return c.Up
}

// meet tells the links which cores to dial.
func meet(n *node.Node, cfg *Config) error {
	if cfg.Discovery != Gossip {
		n.Links.SetCores(cfg.Cores, cfg.Discovery == Seeds)
		return nil
	}
	return n.JoinPool(node.Membership{OnChange: func(members []node.Member) {
		addrs := coresOf(members)
		n.Links.SetCores(addrs, len(addrs) == 0) // whom gossip hears of no more may be there all the same
	}})
}

// coresOf are the link addresses of the cores among members.
func coresOf(members []node.Member) (addrs []string) {
	for _, m := range members {
		if m.Meta.Role == string(bridge.RoleCore) && m.Meta.Link != "" {
			addrs = append(addrs, m.Meta.Link)
		}
	}
	return addrs
}
