package broker

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/setting"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/router"
	"mangrove/mqtt/topic"
	"mangrove/mqtt/transport"
)

// Defaults of Config.
const (
	DefaultMaxPacket      = 1 << 20
	DefaultMaxLinkPacket  = 4 << 20
	DefaultReceiveMaximum = 256
	DefaultTopicAliases   = 32
	DefaultTopicLevels    = topic.MaxLevels
	DefaultMaxConns       = transport.DefaultMaxConns
	DefaultMaxOutput      = 1 << 20
	DefaultConnectTimeout = 10 * time.Second
	DefaultWriteTimeout   = 30 * time.Second
	DefaultCloseTimeout   = 2 * time.Second
	DefaultSysInterval    = 10 * time.Second
)

// Config of a Server. Router and Sessions are required; every other zero value works. Zero and negative numbers mean what
// package setting says: zero is the default above.
type Config struct {
	Router    *router.Router
	Sessions  mqtt.Sessions
	Retained  mqtt.Retained  // nil = retained messages are refused and not sent
	Store     *store.Store   // commits what takers wrote into the batch of a step; nil = nobody writes
	Authority mqtt.Authority // nil = everybody may do everything
	Links     mqtt.Links     // nil = links are refused

	Listeners []ListenerConfig

	MaxPacket         uint32        // bytes of one packet a client may send; above: closed with 0x95
	MaxLinkPacket     uint32        // the same for a link, whose frames gather messages
	ReceiveMaximum    uint16        // QoS>=1 publishes a client may have unacknowledged; above: 5.0 closed with 0x93, 3.x not read further
	TopicAliasMaximum uint16        // topic aliases a client may set
	TopicLevels       int           // of a topic name or filter; above: 0x90, in SUBACK 0x8F
	KeepAliveMax      time.Duration // 5.0 clients that ask for more are given this; zero or negative = no bound
	SessionExpiryMax  time.Duration // sessions that ask for more are given this; zero or negative = no bound
	MaxConns          int           // above: closed on accept and counted; negative = no bound
	MaxOutput         int           // bytes waiting for one client; above: QoS 0 is dropped, QoS>=1 waits, reading stops
	ConnectTimeout    time.Duration // from accept to CONNECT
	WriteTimeout      time.Duration // one write that takes longer closes the connection
	CloseTimeout      time.Duration // for the last bytes of a connection being closed
	SysInterval       time.Duration // of $SYS; negative = no $SYS
	ResponseInfo      string        // given to 5.0 clients that request response information; "" = none
	ShutdownReference string        // other servers, as Redirect.To, that 5.0 clients are sent to when this one shuts down; "" = none

	Version string // shown in $SYS/broker/version
	Log     *slog.Logger
	Metrics *metrics.Registry
}

// ListenerConfig is one place to accept connections.
type ListenerConfig struct {
	Addr   string      // as transport.ParseAddr reads it: "host:port", "tls://host:port", "ws://…"; also the name the Authority sees
	TLS    *tls.Config // certificates, for tls and wss
	Proxy  bool        // connections begin with a PROXY protocol header; only for listeners that nobody but the proxy reaches
	Limits Limits
}

func (c *Config) check() error {
	if c.Router == nil || c.Sessions == nil {
		return errors.New("broker config: Router and Sessions are required")
	}
	c.MaxPacket = cmp.Or(c.MaxPacket, DefaultMaxPacket)
	c.MaxLinkPacket = cmp.Or(c.MaxLinkPacket, DefaultMaxLinkPacket)
	c.ReceiveMaximum = cmp.Or(c.ReceiveMaximum, DefaultReceiveMaximum)
	c.TopicAliasMaximum = cmp.Or(c.TopicAliasMaximum, DefaultTopicAliases)
	setting.Bound(&c.MaxConns, DefaultMaxConns)
	c.SysInterval = cmp.Or(c.SysInterval, DefaultSysInterval)
	err := errors.Join(
		setting.Default("TopicLevels", &c.TopicLevels, DefaultTopicLevels),
		setting.Default("MaxOutput", &c.MaxOutput, DefaultMaxOutput),
		setting.Default("ConnectTimeout", &c.ConnectTimeout, DefaultConnectTimeout),
		setting.Default("WriteTimeout", &c.WriteTimeout, DefaultWriteTimeout),
		setting.Default("CloseTimeout", &c.CloseTimeout, DefaultCloseTimeout),
	)
	if err != nil {
		return fmt.Errorf("broker config: %w", err)
	}
	if c.Authority == nil {
		c.Authority = anyone{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c.checkLimits()
}

func (c *Config) checkLimits() error {
	own := c.grant(Limits{})
	if err := own.check(); err != nil {
		return fmt.Errorf("broker config: %w", err)
	}
	for _, l := range c.Listeners {
		if err := l.Limits.check(); err != nil {
			return fmt.Errorf("broker config: listener %s: %w", l.Addr, err)
		}
	}
	return nil
}

// anyone is the Authority of a server that was given none.
type anyone struct{}

func (anyone) Authenticate(*mqtt.Client) error        { return nil }
func (anyone) MayPublish(*mqtt.Client, string) bool   { return true }
func (anyone) MaySubscribe(*mqtt.Client, string) bool { return true }
