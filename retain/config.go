package retain

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/setting"
	"mangrove/internal/store"
)

// Config of a Store. The zero value works and keeps messages in memory only. Zero and negative numbers mean what
// package setting says.
type Config struct {
	Store *store.Store // where messages are kept; nil = in memory only

	// MaxMessages and MaxBytes bound what is retained; bytes are topics, payloads and some 160 a message. A message
	// above is refused with mqtt.ErrQuota and the topic keeps what it had. Zero = DefaultMaxMessages and
	// DefaultMaxBytes, negative = no bound.
	MaxMessages int
	MaxBytes    int64

	// CacheBytes bounds the messages held in memory beside the store: above it the ones set longest ago
	// are read from disk when wanted. Zero = 16 MiB, negative = none. Without a store it has no meaning.
	CacheBytes int64

	// ClearedKeep is how long it is known that a topic was cleared, or that its message expired, so that a node which was
	// away for less cannot bring it back. Zero = DefaultClearedKeep.
	ClearedKeep time.Duration
	// MaxCleared bounds the topics of which that is known: above it those that would be forgotten first are. Zero =
	// DefaultMaxCleared, negative = none.
	MaxCleared int

	SweepEvery time.Duration    // how often expired messages are looked for; zero = 1 s
	Now        func() time.Time // default time.Now

	Log     *slog.Logger
	Metrics *metrics.Registry
}

// The default bounds of Config.
const (
	DefaultMaxMessages = 1_000_000
	DefaultMaxBytes    = 256 << 20
	DefaultClearedKeep = 7 * 24 * time.Hour
	DefaultMaxCleared  = 100_000
)

// check fills in the defaults.
func (c *Config) check() error {
	setting.Bound(&c.MaxMessages, DefaultMaxMessages)
	setting.Bound(&c.MaxBytes, DefaultMaxBytes)
	c.CacheBytes = cmp.Or(c.CacheBytes, 16<<20)
	c.MaxCleared = max(0, cmp.Or(c.MaxCleared, DefaultMaxCleared))
	if err := setting.Default("ClearedKeep", &c.ClearedKeep, DefaultClearedKeep); err != nil {
		return fmt.Errorf("retain config: %w", err)
	}
	if err := setting.Default("SweepEvery", &c.SweepEvery, time.Second); err != nil {
		return fmt.Errorf("retain config: %w", err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
