// Package config is what an operator can say to a node: the keys of the configuration file and the
// flags of the command line.
//
//	defaults → file (TOML) → flags → Settings → the Check of edge.Config or core.Config → Place
//
// There is one table of keys (keys.go). The file reader, the flags, the commented default file and
// the error messages all follow from it, so a key is described in one place. Every error names
// where it is: file, line and column, or the flag.
package config

import (
	"fmt"
	"os"
	"slices"
	"time"

	"mangrove/bridge"
	"mangrove/internal/node"
	"mangrove/internal/overflow"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/router"
	"mangrove/retain"
	"mangrove/session"
)

// Role is what a node is.
type Role string

// The two roles.
const (
	Edge Role = "edge"
	Core Role = "core"
)

// Config is everything an operator can say. It is made by New, never empty: a key's bounds hold
// for its zero value too.
type Config struct {
	Role Role
	Node string
	Data string

	Profile string

	Listen         []string
	AllowAnonymous bool

	TLS struct{ Cert, Key, ClientCA string }

	Auth struct{ PasswordFile string }

	HTTP struct {
		Address  string
		Insecure bool
		Pprof    bool
	}

	Link struct {
		Cores        []string // edge
		Discovery    string   // edge
		Protocol     string   // edge
		Up           []string // edge
		Early        string   // edge
		Advertise    string   // core
		KeepAlive    time.Duration
		RepeatBytes  int
		Neighbours   int // core
		Username     string
		PasswordFile string
		CA           string
	}

	Core struct { // core
		Weight int
		Spread time.Duration
	}

	Gossip struct {
		Address   string
		Advertise string
		Join      []string
		KeyFile   string
		Insecure  bool
		Profile   string
	}

	Durability struct {
		Default string
		Rules   []string
	}

	Limits struct {
		Connections   int
		PacketSize    int
		QueueMessages int
		QueueBytes    int
		LinkMessages  int
		LinkBytes     int
		WhenFull      string
		WhenFullRules []string

		Cleared    int
		ClearedFor time.Duration

		TopicLevels    int
		ReceiveMaximum int
		SessionExpiry  time.Duration
		KeepAlive      time.Duration
	}

	Shared struct {
		Strategy string
		Weights  []string
	}

	Shutdown struct{ OtherServers string }

	Log struct{ Level, Format string }

	places map[string]place // where each key that is not at its default was set
}

// place is where a key was set: a position in a file, or a flag.
type place struct {
	file      string
	line, col int
	flag      string
}

func (p place) String() string {
	if p.flag != "" {
		return "--" + p.flag
	}
	return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.col)
}

// New returns the defaults of a role. Node and edge and core do not collide when both run on one
// machine as they are.
func New(role Role) *Config {
	c := &Config{Role: role, places: map[string]place{}}
	c.Data = "mangrove-data/" + string(role)
	c.Profile = node.Standard
	c.Listen = []string{"127.0.0.1:1883"}
	c.HTTP.Address = "127.0.0.1:9883"
	c.Link.Cores = []string{"127.0.0.1:1884"}
	c.Link.Discovery = "seeds"
	c.Link.Protocol = "auto"
	c.Link.Up = []string{"#"}
	c.Link.Early = "auto"
	c.Link.KeepAlive = bridge.DefaultKeepAlive
	c.Core.Weight, c.Core.Spread = 1, bridge.DefaultSpreadEvery
	c.Link.RepeatBytes, c.Link.Neighbours = bridge.DefaultSeenBytes, bridge.DefaultMaxNeighbours
	if role == Edge {
		c.Link.RepeatBytes = bridge.DefaultEdgeSeenBytes
	}
	c.Gossip.Profile = "auto"
	c.Durability.Default, c.Durability.Rules = "commit", []string{}
	c.Limits.Connections = broker.DefaultMaxConns
	c.Limits.PacketSize = broker.DefaultMaxPacket
	c.Limits.QueueMessages = session.DefaultMaxQueuedMessages
	c.Limits.QueueBytes = session.DefaultMaxQueuedBytes
	c.Limits.LinkMessages = bridge.DefaultMaxQueueMessages
	c.Limits.LinkBytes = bridge.DefaultMaxQueueBytes
	c.Limits.WhenFull, c.Limits.WhenFullRules = string(overflow.Default), []string{}
	c.Limits.Cleared, c.Limits.ClearedFor = retain.DefaultMaxCleared, retain.DefaultClearedKeep
	c.Limits.TopicLevels = broker.DefaultTopicLevels
	c.Limits.ReceiveMaximum = broker.DefaultReceiveMaximum
	c.Shared.Strategy = router.BalanceNames[0]
	c.Log.Level, c.Log.Format = "info", "text"
	if role == Core {
		c.Listen = []string{"127.0.0.1:1884"}
		c.HTTP.Address = "127.0.0.1:9884"
		c.Gossip.Address = "127.0.0.1:7946"
		c.Link.Cores, c.Link.Discovery, c.Link.Protocol, c.Link.Up, c.Link.Early = nil, "", "", nil, ""
	}
	return c
}

// NodeName is the configured name, or the host's.
func (c *Config) NodeName() (string, error) {
	if c.Node != "" {
		return c.Node, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("node: find the host name: %w; set node (--node)", err)
	}
	if err := checkName(host); err != nil {
		return "", fmt.Errorf("node: the host name %q cannot be the node's name, %w; set node (--node)", host, err)
	}
	return host, nil
}

// checkName holds the rule for node names: they stand in topics, file names, metrics and URLs.
func checkName(s string) error {
	const most = 64
	if s == "" || len(s) > most {
		return fmt.Errorf("want 1 to %d letters, digits, '.', '-' or '_'", most)
	}
	for i, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && (i == 0 || !slices.Contains([]rune("._-"), r)) {
			return fmt.Errorf("want 1 to %d letters, digits, '.', '-' or '_', beginning with a letter or digit", most)
		}
	}
	return nil
}
