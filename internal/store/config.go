package store

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/oplog"
	"mangrove/internal/setting"
)

// Config of a Store. The zero value of every field but Dir works. Zero and negative numbers mean what package setting
// says.
type Config struct {
	Dir         string        // data folder, made if missing; one process at a time
	LockTimeout time.Duration // how long Open waits for another process; zero = 1 s

	// Owner is the name of the node that the folder belongs to. A folder that was last opened for another one gets a new ID: it
	// is a copy, or was handed over. "" = not told; the ID stays.
	Owner string

	// MaxGroupBytes and MaxGroupBatches bound one transaction; what is above waits for the next one.
	// A single batch above MaxGroupBytes is a group by itself. Zero = 4 MiB and 4,096.
	MaxGroupBytes   int
	MaxGroupBatches int

	// MaxPendingBytes bounds the batches that wait for the writer: above it batches are refused with
	// ErrBacklog. Callers that can slow down do so earlier, by Pending. Zero = 256 MiB.
	MaxPendingBytes int

	// MaxFileBytes bounds what state.db holds: batches that would bring it above are refused with ErrFull. The last
	// sixteenth is for batches of less than 1 KiB, so that what is queued can go out. The file itself has free pages too.
	// Zero or negative = no bound but the disk's.
	MaxFileBytes int

	// For an SD card, or another medium that is slow or wears out: GroupWindow 50 ms, CheckpointBytes 16 MiB, MaxDeltaBytes 32 MiB,
	// CheckpointEvery 10 min. That writes fewer and fuller pages, for acknowledgements that come up to 50 ms later under load, about 60 MiB more
	// memory while a checkpoint is written, and a start that replays more.

	// A checkpoint begins when the log has grown by CheckpointBytes since the one before, when the changes since then take MaxDeltaBytes of
	// memory, and after CheckpointEvery, unless there is nothing to write. While one is under way, the next changes may grow as
	// large; then commits wait for it. Zero = 8 MiB, 16 MiB, 60 s.
	CheckpointBytes int
	MaxDeltaBytes   int
	CheckpointEvery time.Duration

	// MaxLogBytes bounds the log while checkpoints cannot be written: above it batches that add something are refused with
	// ErrFull, above twice of it all. Zero = 256 MiB.
	MaxLogBytes int

	// CompactBytes is how much of state.db has to be free, and more than half of it, for the store to write it anew without; negative = never.
	// Zero = 64 MiB.
	CompactBytes int

	// OpenLog opens the log that this store alone writes to; Close of the store closes it. It holds the records that this data folder's
	// store wrote before. nil = the log of this machine's disk, in Dir.
	OpenLog func() (oplog.Log, error)

	// SegmentBytes is the size of a file of that one. Zero = 2 MiB.
	SegmentBytes int

	// GroupWindow is how long after the one before it a group is written at the latest: batches that come meanwhile may be written together, which
	// spares a slow or wearing disk. The store waits only while that makes groups larger, and slows nobody (package window): a batch that comes to an
	// idle store does not wait. Zero = 10 ms; negative = nothing waits.
	GroupWindow time.Duration

	// OnFatal is called once, from a goroutine of its own that nobody waits for, when nothing may be written
	// any more because a sync failed. It may call Close. nil = only logged.
	OnFatal func(error)

	// Now is a clock that goes on steadily, default time.Now; Wall the one that people set, default the wall clock of Now.
	Now  func() time.Time
	Wall func() time.Time

	Log     *slog.Logger
	Metrics *metrics.Registry

	Faults *Faults // for tests; nil = none
}

const (
	defaultLockTimeout     = time.Second
	defaultMaxGroupBytes   = 4 << 20
	defaultMaxGroupBatches = 4096
	defaultMaxPendingBytes = 256 << 20
	defaultCheckpointBytes = 8 << 20
	defaultMaxDeltaBytes   = 16 << 20
	defaultCheckpointEvery = time.Minute
	defaultMaxLogBytes     = 256 << 20
	defaultCompactBytes    = 64 << 20
	defaultSegmentBytes    = 2 << 20
	defaultGroupWindow     = 10 * time.Millisecond
)

// check fills in the defaults.
func (c *Config) check() error {
	if c.Dir == "" {
		return errors.New("open store: Config.Dir is empty")
	}
	err := errors.Join(
		setting.Default("LockTimeout", &c.LockTimeout, defaultLockTimeout),
		setting.Default("MaxGroupBytes", &c.MaxGroupBytes, defaultMaxGroupBytes),
		setting.Default("MaxGroupBatches", &c.MaxGroupBatches, defaultMaxGroupBatches),
		setting.Default("MaxPendingBytes", &c.MaxPendingBytes, defaultMaxPendingBytes),
		setting.Default("CheckpointBytes", &c.CheckpointBytes, defaultCheckpointBytes),
		setting.Default("MaxDeltaBytes", &c.MaxDeltaBytes, defaultMaxDeltaBytes),
		setting.Default("CheckpointEvery", &c.CheckpointEvery, defaultCheckpointEvery),
		setting.Default("MaxLogBytes", &c.MaxLogBytes, defaultMaxLogBytes),
		setting.Default("SegmentBytes", &c.SegmentBytes, defaultSegmentBytes),
	)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	c.MaxGroupBytes = min(c.MaxGroupBytes, maxBatch)
	c.CompactBytes = cmp.Or(c.CompactBytes, defaultCompactBytes)
	c.GroupWindow = cmp.Or(c.GroupWindow, defaultGroupWindow)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
