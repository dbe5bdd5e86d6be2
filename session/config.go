package session

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// Config of a Manager. Only Router is needed; the zero value of every other field means its default.
type Config struct {
	Store   *store.Store // nil = nothing is durable
	Router  mqtt.Router
	Log     *slog.Logger // nil = discarded
	Metrics *metrics.Registry
	Now     func() time.Time // default time.Now

	// MaxSessions bounds the sessions, connected or not; above it new ones are refused with
	// Quota exceeded. Default 1,000,000.
	MaxSessions int
	// MaxExpiry bounds the session expiry; longer ones are shortened. 0 = no bound.
	MaxExpiry time.Duration
	// MaxSubscriptions bounds the subscriptions of one session; above it SUBSCRIBE is refused with
	// Quota exceeded. Default 100,000.
	MaxSubscriptions int

	// MaxQueuedMessages and MaxQueuedBytes bound what one durable session is owed; WhenFull says
	// what happens then. Defaults 100,000 and 256 MiB.
	MaxQueuedMessages int
	MaxQueuedBytes    int64
	// WhenFull is "refuse" (default: the publisher gets Quota exceeded), "drop-oldest" or "drop-new"
	// (counted).
	WhenFull string
	// MaxMemoryMessages and MaxMemoryBytes bound what one session without durable state is owed;
	// above them new messages are dropped and counted. Defaults 10,000 and 16 MiB.
	MaxMemoryMessages int
	MaxMemoryBytes    int64
	// QueueQoS0 queues QoS 0 messages too, for durable sessions that are not connected.
	QueueQoS0 bool

	// MaxInflight bounds a client's Receive Maximum. Default 256.
	MaxInflight int
	// WindowMessages and WindowBytes bound the unsent messages of one durable session that are kept
	// in memory; the others are read from the store when there is room. Defaults 128 and 256 KiB.
	WindowMessages int
	WindowBytes    int

	// Workers is the number of goroutines that read from the store. Default 2.
	Workers int
	// AckDelay is how long records of acknowledged messages may wait to be deleted together. Default 20 ms.
	AckDelay time.Duration
	// SweepEvery is how often one queue is looked through for expired messages, at most. Default 30 s.
	SweepEvery time.Duration
	// WillGrace is how long wills that were due before a restart wait, so that links come up.
	// Default 3 s.
	WillGrace time.Duration
}

// What WhenFull can be.
const (
	Refuse     = "refuse"
	DropOldest = "drop-oldest"
	DropNew    = "drop-new"
)

func (c Config) withDefaults() (Config, error) {
	if c.Router == nil {
		return c, errors.New("session: Config.Router is missing")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	orElse(&c.MaxSessions, 1_000_000)
	orElse(&c.MaxSubscriptions, 100_000)
	orElse(&c.MaxQueuedMessages, 100_000)
	orElse(&c.MaxQueuedBytes, 256<<20)
	orElse(&c.WhenFull, Refuse)
	orElse(&c.MaxMemoryMessages, 10_000)
	orElse(&c.MaxMemoryBytes, 16<<20)
	orElse(&c.MaxInflight, 256)
	orElse(&c.WindowMessages, 128)
	orElse(&c.WindowBytes, 256<<10)
	orElse(&c.Workers, 2)
	orElse(&c.AckDelay, 20*time.Millisecond)
	orElse(&c.SweepEvery, 30*time.Second)
	orElse(&c.WillGrace, 3*time.Second)
	return c, c.check()
}

func orElse[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c *Config) check() error {
	for _, f := range []struct {
		name string
		v    int64
	}{
		{"MaxSessions", int64(c.MaxSessions)}, {"MaxSubscriptions", int64(c.MaxSubscriptions)},
		{"MaxQueuedMessages", int64(c.MaxQueuedMessages)}, {"MaxQueuedBytes", c.MaxQueuedBytes},
		{"MaxMemoryMessages", int64(c.MaxMemoryMessages)}, {"MaxMemoryBytes", c.MaxMemoryBytes},
		{"MaxInflight", int64(c.MaxInflight)}, {"WindowMessages", int64(c.WindowMessages)},
		{"WindowBytes", int64(c.WindowBytes)}, {"Workers", int64(c.Workers)}, {"MaxExpiry", int64(c.MaxExpiry)},
		{"AckDelay", int64(c.AckDelay)}, {"SweepEvery", int64(c.SweepEvery)}, {"WillGrace", int64(c.WillGrace)},
	} {
		if f.v < 0 {
			return fmt.Errorf("session: Config.%s is %d, must not be negative", f.name, f.v)
		}
	}
	if c.WhenFull != Refuse && c.WhenFull != DropOldest && c.WhenFull != DropNew {
		return fmt.Errorf("session: Config.WhenFull is %q, must be %q, %q or %q", c.WhenFull, Refuse, DropOldest, DropNew)
	}
	if c.MaxInflight > maxIDs {
		return fmt.Errorf("session: Config.MaxInflight is %d, must be at most %d", c.MaxInflight, maxIDs)
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
