package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"mangrove/internal/node"
	"mangrove/internal/overflow"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/router"
	"mangrove/mqtt/topic"
	"mangrove/mqtt/transport"
)

// listener accepts what a node can listen on.
func listener(s string) error {
	_, err := broker.ParseListener(s)
	return unaddressed(s, err)
}

// address is ParseAddr for messages that have named the address already.
func address(s string) (transport.Addr, error) {
	a, err := transport.ParseAddr(s)
	return a, unaddressed(s, err)
}

func unaddressed(s string, err error) error {
	if err == nil {
		return nil
	}
	addr, _, _ := strings.Cut(s, "?")
	return errors.New(strings.TrimPrefix(err.Error(), fmt.Sprintf("address %q: ", addr)))
}

// neighbour accepts what a node can dial to link to another.
func neighbour(s string) error {
	a, err := address(s)
	if err != nil || a.Scheme == transport.Unix {
		return err
	}
	return remote(a.Host)
}

// filter accepts what can be forwarded: topic filters of ordinary topics.
func filter(s string) error {
	if err := topic.CheckFilter(s, topic.MaxLevels); err != nil {
		return err
	}
	if !topic.Crosses(s) {
		return fmt.Errorf("want a filter that does not begin with $")
	}
	return nil
}

func durabilityClass(s string) error {
	_, err := router.ParseDurability(s)
	return err
}

func durabilityRule(s string) error {
	_, err := router.ParseDurabilityRule(s)
	return err
}

func whenFullRule(s string) error {
	_, err := overflow.ParseRule(s)
	return err
}

func earlyTime(s string) error {
	if s == "auto" || s == "off" {
		return nil
	}
	if d, err := time.ParseDuration(s); err != nil || d < time.Millisecond || d > 10*time.Second {
		return errors.New("want auto, off, or a time from 1ms to 10s")
	}
	return nil
}

// Early is what link.early comes to.
func (c *Config) Early() time.Duration {
	switch c.Link.Early {
	case "auto":
		return node.EarlyPatience(c.Profile)
	case "off":
		return 0
	}
	d, err := time.ParseDuration(c.Link.Early)
	if err != nil {
		panic("BUG: link.early was not checked: " + err.Error())
	}
	return d
}

func weight(s string) error {
	_, _, err := router.ParseWeight(s)
	return err
}

// Settings is what both roles are told, without what stands in other files, which need not be on the
// machine where a configuration is checked.
func (c *Config) Settings() (node.Config, error) {
	name, err := c.NodeName()
	n := node.Config{
		Name:              name,
		Data:              c.Data,
		Profile:           c.Profile,
		Listen:            c.Listen,
		TLS:               node.TLS(c.TLS),
		AllowAnonymous:    c.AllowAnonymous,
		PasswordFile:      c.Auth.PasswordFile,
		ShutdownReference: c.Shutdown.OtherServers,
		HTTP:              c.HTTP.Address,
		HTTPInsecure:      c.HTTP.Insecure,
		HTTPProfile:       c.HTTP.Pprof,
		Dial:              node.Dial{Username: c.Link.Username, CA: c.Link.CA, KeepAlive: c.Link.KeepAlive, RepeatBytes: c.Link.RepeatBytes, Neighbours: c.Link.Neighbours},
		Limits:            node.Limits(c.Limits),
		Shared:            node.Shared(c.Shared),
		Gossip: node.Gossip{
			Address: c.Gossip.Address, Advertise: c.Gossip.Advertise, Join: c.Gossip.Join,
			Profile: c.Gossip.Profile, Insecure: c.Gossip.Insecure || c.Gossip.KeyFile != "",
		},
	}
	return n, errors.Join(err, c.durabilityInto(&n))
}

// durabilityInto reads what the keys' own checks have let pass.
func (c *Config) durabilityInto(n *node.Config) (err error) {
	if n.Durability.Default, err = router.ParseDurability(c.Durability.Default); err != nil {
		return node.Fault("durability.default", "%w", err)
	}
	for _, text := range c.Durability.Rules {
		r, err := router.ParseDurabilityRule(text)
		if err != nil {
			return node.Fault("durability.rules", "%w", err)
		}
		n.Durability.Rules = append(n.Durability.Rules, r)
	}
	return nil
}

// Complete adds to Settings what stands in other files.
func (c *Config) Complete() (node.Config, error) {
	n, err := c.Settings()
	if err != nil {
		return n, err
	}
	n.Gossip.Insecure = c.Gossip.Insecure
	if n.Gossip.Key, err = readKey(c.Gossip.KeyFile); err != nil {
		return n, c.Place(node.Fault("gossip.key_file", "%w", err))
	}
	if n.Dial.Password, err = readSecret(c.Link.PasswordFile); err != nil {
		return n, c.Place(node.Fault("link.password_file", "%w", err))
	}
	return n, nil
}

// Place writes before each fault (*node.ConfigError) in err where its key was set.
func (c *Config) Place(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok && err.Error() == errors.Join(many.Unwrap()...).Error() { // says nothing of its own
		var all []error
		for _, e := range many.Unwrap() {
			all = append(all, c.Place(e))
		}
		return errors.Join(all...)
	}
	var fault *node.ConfigError
	if errors.As(err, &fault) {
		if p, ok := c.places[fault.Key]; ok {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return err
}

// readKey reads a gossip key in base64; no path, no key.
func readKey(path string) ([]byte, error) {
	line, err := readSecret(path)
	if err != nil || line == nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(string(line))
	if err != nil {
		return nil, fmt.Errorf("read key from %s: want base64: %w", path, err)
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("read key from %s: it is empty", path)
	}
	return key, nil
}

// readSecret reads the first line of a file; no path, no secret.
func readSecret(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return []byte(strings.TrimRight(string(line), "\r")), nil
}
