package retain

import (
	"errors"
	"log/slog"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/store"
)

// Config of a Store. The zero value works and keeps messages in memory only.
type Config struct {
	Store *store.Store // where messages are kept; nil = in memory only

	// MaxMessages and MaxBytes bound what is retained; bytes are topics, payloads and some 160 a message. A message
	// above is refused with mqtt.ErrQuota and the topic keeps what it had. Defaults 1,000,000 and 256 MiB.
	MaxMessages int
	MaxBytes    int64

	// CacheBytes bounds the messages held in memory beside the store: above it the ones set longest ago
	// are read from disk when wanted. Default 16 MiB; < 0 = none. Without a store it has no meaning.
	CacheBytes int64

	SweepEvery time.Duration    // how often expired messages are looked for; default 1 s
	Now        func() time.Time // default time.Now

	Log     *slog.Logger
	Metrics *metrics.Registry
}

const (
	defaultMaxMessages = 1_000_000
	defaultMaxBytes    = 256 << 20
	defaultCacheBytes  = 16 << 20
	defaultSweepEvery  = time.Second
)

// check fills in the defaults.
func (c *Config) check() error {
	if c.MaxMessages < 0 || c.MaxBytes < 0 || c.SweepEvery < 0 {
		return errors.New("retain: MaxMessages, MaxBytes and SweepEvery must not be negative")
	}
	if c.MaxMessages == 0 {
		c.MaxMessages = defaultMaxMessages
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = defaultCacheBytes
	}
	if c.SweepEvery == 0 {
		c.SweepEvery = defaultSweepEvery
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
