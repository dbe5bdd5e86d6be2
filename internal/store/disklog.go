package store

import (
	"errors"
	"fmt"

	"mangrove/internal/oplog"
	"mangrove/internal/wal"
)

// diskLog is the log of this machine's disk as the store knows a log.
type diskLog struct{ wal *wal.Log }

// openDiskLog opens the log in the data folder.
func openDiskLog(cfg Config) (oplog.Log, error) {
	l, err := wal.Open(wal.Config{
		Dir: logPath(cfg.Dir), Files: cfg.Faults.files(), SegmentBytes: int64(cfg.SegmentBytes), Log: cfg.Log,
		Spares: 2 + 2*cfg.CheckpointBytes/cfg.SegmentBytes,
	})
	if err != nil {
		var damage *wal.DamageError
		if errors.As(err, &damage) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, err
	}
	return diskLog{l}, nil
}

// Append writes the record; only Sync waits for the disk.
func (l diskLog) Append(record []byte, last bool) (index uint64, err error) {
	if last {
		index, err = l.wal.AppendSoftLast(record)
	} else {
		index, err = l.wal.AppendSoft(record)
	}
	return index, logError(err)
}

func (l diskLog) Sync() error  { return logError(l.wal.Sync()) }
func (l diskLog) Stock() error { return logError(l.wal.Stock()) }

func (l diskLog) Replay(from uint64, visit func(index uint64, record []byte) error) error {
	return logError(l.wal.Replay(from, visit))
}

func (l diskLog) ReadPart(index uint64, off int, b []byte) error {
	return logError(l.wal.ReadPart(index, off, b))
}

func (l diskLog) Trim(through uint64) error { return logError(l.wal.Trim(through)) }

func (l diskLog) Bounds() (first, last uint64) { return l.wal.First(), l.wal.Last() }

func (l diskLog) Size() int64  { return l.wal.Size() }
func (l diskLog) Close() error { return l.wal.Close() }

// logError says what an error of the wal means to who uses a log.
func logError(err error) error {
	for _, e := range [...]struct{ of, as error }{
		{wal.ErrSync, oplog.ErrUncertain}, {wal.ErrTrimmed, oplog.ErrTrimmed}, {wal.ErrClosed, oplog.ErrClosed},
	} {
		if errors.Is(err, e.of) {
			return fmt.Errorf("%w: %w", e.as, err)
		}
	}
	return err
}
