// Package waltest helps tests: it puts an operation log on a simulated disk.
package waltest

import (
	"mangrove/internal/sim"
	"mangrove/internal/wal"
)

// Files is a simulated disk as the file system of a log.
type Files struct{ *sim.Disk }

// Open is the disk's.
func (f Files) Open(name string, create bool) (wal.File, error) {
	file, err := f.Disk.Open(name, create)
	if err != nil {
		return nil, err // not a nil *sim.DiskFile
	}
	return file, nil
}
