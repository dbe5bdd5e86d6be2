package session

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/overflow"
	"mangrove/internal/setting"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// Defaults of Config.
const (
	DefaultMaxSessions       = 1_000_000
	DefaultMaxSubscriptions  = 100_000
	DefaultMaxQueuedMessages = 100_000
	DefaultMaxQueuedBytes    = 256 << 20
	DefaultMaxMemoryBytes    = 16 << 20
	DefaultMaxWillBytes      = 64 << 20
	DefaultMaxInflight       = 256
	DefaultWindowMessages    = 128
	DefaultWindowBytes       = 256 << 10
	DefaultWorkers           = 2
	DefaultAckDelay          = 20 * time.Millisecond
	DefaultSweepEvery        = 30 * time.Second
	DefaultWillGrace         = 3 * time.Second
)

// Config of a Manager. Only Router is needed; zero and negative numbers mean what package setting says: zero is the
// default above.
type Config struct {
	Store   *store.Store // nil = nothing is durable
	Router  mqtt.Router
	Log     *slog.Logger // nil = discarded
	Metrics *metrics.Registry
	Now     func() time.Time // default time.Now

	// MaxSessions bounds the sessions, connected or not; above it new ones are refused with
	// Quota exceeded. Negative = no bound.
	MaxSessions int
	// MaxExpiry bounds the session expiry; longer ones are shortened. Zero or negative = no bound.
	MaxExpiry time.Duration
	// MaxSubscriptions bounds the subscriptions of one session; above it SUBSCRIBE is refused with
	// Quota exceeded. Negative = no bound.
	MaxSubscriptions int

	// MaxQueuedMessages and MaxQueuedBytes bound what one session is owed; WhenFull says by topic what happens then,
	// overflow.Default without it. A session without durable state has MaxMemoryBytes instead when that is less.
	// Negative = no bound.
	MaxQueuedMessages int
	MaxQueuedBytes    int64
	MaxMemoryBytes    int64
	WhenFull          overflow.Rules
	// MaxWillBytes bounds what the wills of sessions without durable state may take in the store; those beyond it are in
	// memory only. Negative = no bound.
	MaxWillBytes int64
	// QueueQoS0 queues QoS 0 messages too, for durable sessions that are not connected.
	QueueQoS0 bool

	// MaxInflight bounds a client's Receive Maximum.
	MaxInflight int
	// WindowMessages and WindowBytes bound the unsent messages of one durable session that are kept
	// in memory; the others are read from the store when there is room.
	WindowMessages int
	WindowBytes    int

	// Workers is the number of goroutines that read from the store.
	Workers int
	// AckDelay is how long records of acknowledged messages may wait to be deleted together.
	AckDelay time.Duration
	// SweepEvery is how often one queue is looked through for expired messages, at most.
	SweepEvery time.Duration
	// WillGrace is how long wills that were due before a restart wait, so that links come up.
	WillGrace time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.Router == nil {
		return c, errors.New("session config: Router is missing")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	setting.Bound(&c.MaxSessions, DefaultMaxSessions)
	setting.Bound(&c.MaxSubscriptions, DefaultMaxSubscriptions)
	setting.Bound(&c.MaxQueuedMessages, DefaultMaxQueuedMessages)
	setting.Bound(&c.MaxQueuedBytes, DefaultMaxQueuedBytes)
	setting.Bound(&c.MaxMemoryBytes, DefaultMaxMemoryBytes)
	setting.Bound(&c.MaxWillBytes, DefaultMaxWillBytes)
	err := errors.Join(
		setting.Default("MaxInflight", &c.MaxInflight, DefaultMaxInflight),
		setting.Default("WindowMessages", &c.WindowMessages, DefaultWindowMessages),
		setting.Default("WindowBytes", &c.WindowBytes, DefaultWindowBytes),
		setting.Default("Workers", &c.Workers, DefaultWorkers),
		setting.Default("AckDelay", &c.AckDelay, DefaultAckDelay),
		setting.Default("SweepEvery", &c.SweepEvery, DefaultSweepEvery),
		setting.Default("WillGrace", &c.WillGrace, DefaultWillGrace),
		c.check(),
	)
	if err != nil {
		return c, fmt.Errorf("session config: %w", err)
	}
	return c, nil
}

func (c *Config) check() error {
	if err := c.WhenFull.Check(); err != nil {
		return fmt.Errorf("WhenFull: %w", err)
	}
	if c.MaxInflight > maxIDs {
		return fmt.Errorf("MaxInflight is %d, must be at most %d", c.MaxInflight, maxIDs)
	}
	return nil
}

// clamp applies MaxExpiry.
func (c *Config) clamp(expiry time.Duration) time.Duration {
	if c.MaxExpiry > 0 && (expiry < 0 || expiry > c.MaxExpiry) {
		return c.MaxExpiry
	}
	return expiry
}
