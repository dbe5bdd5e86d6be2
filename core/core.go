// Package core is the node that edges link to. Cores find each other by gossip and form a full mesh.
//
//	edges ⇄ ┐                      ┌ ⇄ peer core
//	        ├ broker ⇄ router ⇄ links
//	clients ┘                      └ ⇄ peer core
//	            gossip ── who is there ──┘
//
// What it is made of is in package internal/node; here is only whom a core links to.
package core

import (
	"errors"
	"time"

	"mangrove/bridge"
	"mangrove/internal/node"
)

// Config of a core. Node says what every node needs; Node.Gossip.Address must be set.
type Config struct {
	Node      node.Config
	Advertise string // where other nodes reach the listener; "" = the first one they can reach

	Weight      int           // its share of the edges, in proportion to other cores' weights; 0 = 1
	SpreadEvery time.Duration // bridge.Config.SpreadEvery
}

// Check tells everything that is wrong with c, each a *node.ConfigError, joined.
func (c Config) Check() error {
	err := c.Node.Check()
	if c.Node.Gossip.Address == "" {
		err = errors.Join(err, node.Fault("gossip.address", "is empty: a core finds the others by gossip (--gossip)"))
	}
	if c.Weight < 0 {
		err = errors.Join(err, node.Fault("core.weight", "is %d, must not be negative", c.Weight))
	}
	return err
}

// Node is a running core.
type Node struct{ *node.Node }

// New checks cfg; Start opens everything.
func New(cfg Config) (*Node, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	n, err := node.New(cfg.Node, node.Role{
		Name:   bridge.RoleCore,
		Bridge: func(b *bridge.Config) { b.SpreadEvery = cfg.SpreadEvery },
		Meet:   func(n *node.Node) error { return meet(n, &cfg) },
	})
	if err != nil {
		return nil, err
	}
	return &Node{n}, nil
}

// meet joins the pool: its members are the peers.
func meet(n *node.Node, cfg *Config) error {
	link, err := n.Address(cfg.Advertise)
	if err != nil {
		return err
	}
	self := bridge.Peer{Name: n.Name(), Store: n.StoreID(), Addr: link, Weight: max(cfg.Weight, 1)}
	n.Links.SetPeers([]bridge.Peer{self}) // edges may ask before another core is found
	return n.JoinPool(node.Membership{Link: link, Weight: self.Weight, OnChange: func(members []node.Member) {
		n.Links.SetPeers(append(peersOf(members), self))
	}})
}

// peersOf are the cores among members.
func peersOf(members []node.Member) (peers []bridge.Peer) {
	for _, m := range members {
		if m.Meta.Role == string(bridge.RoleCore) {
			peers = append(peers, bridge.Peer{
				Name: m.Name, Store: m.Meta.Store, Addr: m.Meta.Link, Weight: m.Meta.Weight, Suspect: m.State == node.Suspect,
			})
		}
	}
	return peers
}
