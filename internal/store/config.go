package store

import (
	"errors"
	"log/slog"
	"time"

	"mangrove/internal/metrics"
)

// Config of a Store. The zero value of every field but Dir works.
type Config struct {
	Dir         string        // data folder, made if missing; one process at a time
	LockTimeout time.Duration // how long Open waits for another process; default 1 s

	// MaxGroupBytes and MaxGroupBatches bound one transaction; what is above waits for the next one.
	// A single batch above MaxGroupBytes is a group by itself. Defaults 4 MiB and 4,096.
	MaxGroupBytes   int
	MaxGroupBatches int

	// MaxPendingBytes bounds the batches that wait for the writer: above it batches are refused with
	// ErrBacklog. Callers that can slow down do so earlier, by Pending. Default 256 MiB.
	MaxPendingBytes int

	// MaxFileBytes bounds state.db: above it batches that need room are refused with ErrFull. Free pages
	// inside the file are used up first. 0 = no bound but the disk's.
	MaxFileBytes int

	// OnFatal is called once, from a goroutine of its own that nobody waits for, when nothing may be written
	// any more because a sync failed. It may call Close. nil = only logged.
	OnFatal func(error)

	Log     *slog.Logger
	Metrics *metrics.Registry
}

const (
	defaultLockTimeout     = time.Second
	defaultMaxGroupBytes   = 4 << 20
	defaultMaxGroupBatches = 4096
	defaultMaxPendingBytes = 256 << 20
)

// check fills in the defaults.
func (c *Config) check() error {
	if c.Dir == "" {
		return errors.New("open store: Config.Dir is empty")
	}
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{
		{"MaxGroupBytes", &c.MaxGroupBytes, defaultMaxGroupBytes},
		{"MaxGroupBatches", &c.MaxGroupBatches, defaultMaxGroupBatches},
		{"MaxPendingBytes", &c.MaxPendingBytes, defaultMaxPendingBytes},
		{"MaxFileBytes", &c.MaxFileBytes, 0},
	} {
		if *f.value < 0 {
			return errors.New("open store: Config." + f.name + " is negative")
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	if c.LockTimeout <= 0 {
		c.LockTimeout = defaultLockTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
