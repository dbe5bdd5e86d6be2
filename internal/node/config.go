package node

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/overflow"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/router"
	"mangrove/mqtt/topic"
	"mangrove/mqtt/transport"
)

// Config is what both roles are told. Errors name its fields by their keys in the configuration file.
type Config struct {
	Name    string // unique in the fleet
	Version string // shown, never compared
	Data    string // folder; see the package comment for its layout
	Profile string // of the disk that Data is on: Standard or SDCard; "" = Standard

	Listen         []string // as mqtt/broker.ParseListener reads them; empty = nobody connects
	TLS            TLS      // for tls:// and wss:// listeners
	AllowAnonymous bool     // let everybody in, wherever from
	PasswordFile   string

	HTTP         string // HOST:PORT of the dashboard; "" = none
	HTTPInsecure bool   // serve it beyond loopback
	HTTPProfile  bool   // serve /debug/pprof/ on it; never beyond loopback

	ShutdownReference string // other servers, "host:port" separated by spaces, that 5.0 clients are sent to when the node shuts down

	Gossip Gossip
	Dial   Dial
	Limits Limits
	Shared Shared

	Durability router.Durability // how stable a publish is to be before it is acknowledged, by topic

	Log     *slog.Logger      // nil = silent
	Metrics *metrics.Registry // nil = a new one
}

// TLS names the PEM files of the encrypted listeners.
type TLS struct{ Cert, Key, ClientCA string }

// Gossip is how this node takes part in membership. With no Address it does not.
type Gossip struct {
	Address   string
	Advertise string
	Join      []string
	Key       []byte // 16, 24 or 32 bytes; nil = in clear
	Insecure  bool   // in clear beyond loopback
	Profile   string // local, lan; "" or auto = local on loopback, else lan
}

// Dial is how this node shows itself to other nodes' listeners, which it trusts, and what holds for its links.
type Dial struct {
	Username string
	Password []byte
	CA       string // PEM file of the authorities of other nodes' certificates; "" = the system's

	KeepAlive   time.Duration // bridge.Config.KeepAlive
	RepeatBytes int           // bridge.Config.SeenBytes
	Neighbours  int           // bridge.Config.MaxNeighbours
}

// Limits bound the node. Zero and negative numbers mean what package setting says: zero is the default of the part that
// holds the bound.
type Limits struct {
	Connections   int      // broker.Config.MaxConns; negative = no bound
	PacketSize    int      // broker.Config.MaxPacket
	QueueMessages int      // session.Config.MaxQueuedMessages; negative = no bound
	QueueBytes    int      // session.Config.MaxQueuedBytes; negative = no bound
	LinkMessages  int      // bridge.Config.MaxQueueMessages; negative = no bound
	LinkBytes     int      // bridge.Config.MaxQueueBytes; negative = no bound
	WhenFull      string   // at those four: an overflow.Policy; "" = overflow.Default
	WhenFullRules []string // as overflow.ParseRule reads them; the first that matches a topic counts, else WhenFull

	Cleared    int           // retain.Config.MaxCleared; negative = none
	ClearedFor time.Duration // retain.Config.ClearedKeep

	TopicLevels    int           // broker.Config.TopicLevels
	ReceiveMaximum int           // broker.Config.ReceiveMaximum
	SessionExpiry  time.Duration // broker.Config.SessionExpiryMax; zero or negative = no bound
	KeepAlive      time.Duration // broker.Config.KeepAliveMax; zero or negative = no bound
}

// check refuses what the parts cannot hold.
func (l *Limits) check() error {
	var faults []error
	for _, f := range []struct {
		key     string
		v, most int
	}{
		{"limits.packet_size", l.PacketSize, math.MaxInt32},
		{"limits.topic_levels", l.TopicLevels, topic.MaxLength},
		{"limits.receive_maximum", l.ReceiveMaximum, math.MaxUint16},
	} {
		if f.v < 0 || f.v > f.most {
			faults = append(faults, Fault(f.key, "is %d, allowed are 0 to %d", f.v, f.most))
		}
	}
	_, err := l.whenFull()
	return errors.Join(append(faults, err)...)
}

// whenFull is what the parts are told.
func (l *Limits) whenFull() (overflow.Rules, error) {
	r := overflow.Rules{Default: overflow.Policy(l.WhenFull)}
	if err := r.Check(); err != nil {
		return r, Fault("limits.when_full", "%w", err)
	}
	for _, text := range l.WhenFullRules {
		rule, err := overflow.ParseRule(text)
		if err != nil {
			return r, Fault("limits.when_full_rules", "found %q: %w", text, err)
		}
		r.Rules = append(r.Rules, rule)
	}
	return r, nil
}

// Shared is how shared subscriptions choose among their members.
type Shared struct {
	Strategy string   // one of router.BalanceNames; "" = the first
	Weights  []string // as router.ParseWeight reads them, for the strategy weighted
}

// balance makes the strategy.
func (s *Shared) balance() (func() router.Balance, error) {
	weights := map[string]int{}
	for _, text := range s.Weights {
		client, weight, err := router.ParseWeight(text)
		if err != nil {
			return nil, Fault("shared.weights", "found %q: %w", text, err)
		}
		weights[client] = weight
	}
	strategy, err := router.NewBalance(s.Strategy, func(clientID string) int { return weights[clientID] })
	if err != nil {
		return nil, Fault("shared.strategy", "%w", err)
	}
	return strategy, nil
}

// ConfigError is a setting that cannot be.
type ConfigError struct {
	Key string // as in the configuration file
	Err error
}

func (e *ConfigError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *ConfigError) Unwrap() error { return e.Err }

// Fault makes a ConfigError.
func Fault(key, format string, args ...any) error {
	return &ConfigError{Key: key, Err: fmt.Errorf(format, args...)}
}

// anonymous reports whether clients without a user name are let in: by the operator's word, or because nobody has
// passwords, and then Check has seen that only this machine or holders of a certificate get here.
func (c *Config) anonymous() bool { return c.AllowAnonymous || c.PasswordFile == "" }

// Check tells everything that is wrong with c, each a *ConfigError, joined. [promise P7]
func (c *Config) Check() error {
	faults := []error{c.checkListen(), c.checkTLS(), c.checkHTTP(), c.checkGossip(), c.Limits.check(), c.checkShared()}
	if c.Name == "" {
		faults = append(faults, Fault("node", "is empty: give the node a name"))
	}
	if c.Data == "" {
		faults = append(faults, Fault("data", "is empty: name a folder"))
	}
	if c.Profile != "" && c.Profile != Standard && c.Profile != SDCard {
		faults = append(faults, Fault("profile", "is %q, allowed are %s and %s", c.Profile, Standard, SDCard))
	}
	return errors.Join(faults...)
}

func (c *Config) checkListen() error {
	for _, addr := range c.Listen {
		if _, err := broker.ParseListener(addr); err != nil {
			return Fault("listen", "%w", err)
		}
	}
	if c.PasswordFile != "" || c.AllowAnonymous {
		return nil
	}
	for _, addr := range c.Listen {
		if proven := c.TLS.ClientCA != "" && encrypted(addr); !proven && !transport.IsLoopback(plain(addr)) {
			return Fault("listen", "%s is reachable from other machines and nobody would be asked who they are: "+
				"set auth.password_file (--password-file), or allow_anonymous = true (--allow-anonymous) to let everybody in", addr)
		}
	}
	return nil
}

func (c *Config) checkTLS() error {
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return Fault("tls.cert", "tls.cert and tls.key go together: set both or neither")
	}
	for _, addr := range c.Listen {
		if encrypted(addr) && c.TLS.Cert == "" {
			return Fault("listen", "%s needs a certificate: set tls.cert and tls.key (--tls-cert, --tls-key)", addr)
		}
	}
	return nil
}

// plain is the address of a listener without its options.
func plain(listen string) string {
	addr, _, _ := strings.Cut(listen, "?")
	return addr
}

func encrypted(listen string) bool {
	a, err := transport.ParseAddr(plain(listen))
	return err == nil && a.Secure()
}

func (c *Config) checkHTTP() error {
	if c.HTTPProfile && !transport.IsLoopback(c.HTTP) {
		return Fault("http.pprof", "profiles show what is in memory: they are served on a loopback http.address only, not on %q", c.HTTP)
	}
	if c.HTTP == "" || c.HTTPInsecure || transport.IsLoopback(c.HTTP) {
		return nil
	}
	return Fault("http.address", "%s is reachable from other machines and the pages ask nobody who they are: "+
		"use a loopback address, or set http.insecure = true (--http-insecure)", c.HTTP)
}

func (c *Config) checkShared() error {
	_, err := c.Shared.balance()
	if err == nil && len(c.Shared.Weights) > 0 && c.Shared.Strategy != "weighted" {
		return Fault("shared.weights", "counts with shared.strategy = \"weighted\" only")
	}
	return err
}

func (c *Config) checkGossip() error {
	g := &c.Gossip
	switch n := len(g.Key); {
	case g.Address == "" && len(g.Join) > 0:
		return Fault("gossip.join", "needs gossip.address (--gossip): the address to gossip on")
	case n != 0 && n != 16 && n != 24 && n != 32:
		return Fault("gossip.key_file", "the key has %d bytes, want 16, 24 or 32", n)
	case g.Address != "" && n == 0 && !g.Insecure && !transport.IsLoopback(g.Address):
		return Fault("gossip.address", "%s is reachable from other machines and whoever reaches it could join: "+
			"set gossip.key_file (--gossip-key-file), or gossip.insecure = true (--gossip-insecure)", g.Address)
	}
	return nil
}
