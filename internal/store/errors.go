package store

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"

	"mangrove/internal/oplog"
)

// What callers branch on. Batches are refused with errors that wrap one of the first six, or are batch.ErrKey.
var (
	ErrFull     = errors.New("disk is full")
	ErrWrite    = errors.New("disk does not take writes")
	ErrFatal    = errors.New("store stopped: a sync failed, what is on disk is uncertain") // stays until restart
	ErrBacklog  = errors.New("too much waits for the disk")
	ErrClosed   = errors.New("store is closed")
	ErrTooLarge = errors.New("batch is larger than a record of the log") // above 48 MiB, or above 60 MiB where it is owed

	ErrLocked  = errors.New("data folder is in use by another process")
	ErrNewer   = errors.New("data folder was written by a newer version")
	ErrDamaged = errors.New("data file is damaged")
)

// severity of a failed transaction.
type severity int

const (
	full    severity = iota // no room: nothing was changed, may be tried again
	refused                 // a write failed: nothing was changed, may be tried again
	fatal                   // a sync failed or the database is in doubt: never again
)

// judge sorts the errors of a bbolt transaction. Only what is known to have left the file's last
// state untouched may be tried again (DESIGN.md, "Errors"); all else is fatal.
//
//   - pages and meta are written with os.File.WriteAt, which fails with a *fs.PathError;
//   - the file grows with os.File.Truncate, whose error bbolt flattens into "file resize error: …";
//   - MaxSize gives ErrMaxSizeReached before anything is written;
//   - fdatasync fails with a bare syscall.Errno, the sync after growing with "file sync error: …",
//     mapping memory with a bare Errno: none of these is listed here.
func judge(err error) severity {
	var path *fs.PathError
	switch {
	case errors.Is(err, bolterrors.ErrMaxSizeReached):
		return full
	case errors.As(err, &path) && path.Op == "write":
		return noRoom(err)
	case strings.HasPrefix(err.Error(), "file resize error: "):
		text := err.Error()
		if strings.HasSuffix(text, syscall.ENOSPC.Error()) || strings.HasSuffix(text, syscall.EDQUOT.Error()) ||
			strings.HasSuffix(text, syscall.EFBIG.Error()) {
			return full
		}
		return refused
	}
	return fatal
}

// judgeLog sorts the errors of Append: after one that is uncertain nothing may be written any more, after all others the log is
// as it was (oplog.Log).
func judgeLog(err error) severity {
	if errors.Is(err, oplog.ErrUncertain) {
		return fatal
	}
	return noRoom(err)
}

func noRoom(err error) severity {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return full
	}
	return refused
}

// Of what a batch is refused with.
func (s severity) sentinel() error {
	return [...]error{ErrFull, ErrWrite, ErrFatal}[s]
}

func (s severity) String() string { return [...]string{"full", "write", "fatal"}[s] }
