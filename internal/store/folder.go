package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Files of a data folder.
const (
	lockFile = "lock"      // locked while a process uses the folder; holds its process id
	dataFile = "state.db"  // bbolt
	newFile  = "state.new" // a database being made; renamed to dataFile when it is whole
	logDir   = "log"       // segments of the operation log

	clockFile = "clock" // the stored time and the wall clock's at one moment, see clock.go
)

func logPath(dir string) string { return filepath.Join(dir, logDir) }

// makeFolder makes dir and what is missing above it, and syncs the folders that got an entry.
func makeFolder(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", dir)
		}
		return nil
	}
	if err := makeFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

// syncFolder puts the names in dir on stable storage.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lockPoll is how often a lock held by somebody else is tried again.
const lockPoll = 20 * time.Millisecond

// lockFolder takes dir for this process. The lock goes with the file or the process.
func lockFolder(dir string, patience time.Duration) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(lockPoll) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("%w%s: stop it, or give this node a folder of its own", ErrLocked, holder(f)), f.Close())
		}
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// holder names the process that wrote its id into the lock file.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 20))
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

// writeHolder writes the process id. A full disk does not keep a node from starting.
func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintln(f, os.Getpid())
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}
