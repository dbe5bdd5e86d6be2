package wal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Files is the part of a file system that a Log uses. Names are relative to the log's folder. Disk is the real
// one; tests put a disk in its place that loses, tears and refuses writes.
type Files interface {
	// List names the files in the folder, in any order.
	List() ([]string, error)
	// Open opens an existing file, or makes a new one when create is set.
	Open(name string, create bool) (File, error)
	Rename(old, new string) error
	Remove(name string) error
	// SyncDir makes created, renamed and removed names stable.
	SyncDir() error
}

// File is one open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes the bytes written stable (fdatasync). After an error nothing is known about them.
	Sync() error
	Size() (int64, error)
	Close() error
}

// Disk is a folder of the operating system as Files.
type Disk struct{ Dir string }

func (d Disk) List() ([]string, error) {
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (d Disk) Open(name string, create bool) (File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(filepath.Join(d.Dir, name), flags, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (d Disk) Rename(old, new string) error {
	return os.Rename(filepath.Join(d.Dir, old), filepath.Join(d.Dir, new))
}

func (d Disk) Remove(name string) error { return os.Remove(filepath.Join(d.Dir, name)) }

func (d Disk) SyncDir() error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// diskFile does not name itself in errors: a spare file was opened under another name than the segment that it is now. Who
// calls knows that.
type diskFile struct{ *os.File }

func (f diskFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	return n, unnamed(err)
}

func (f diskFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	return n, unnamed(err)
}

// unnamed is err without the path.
func unnamed(err error) error {
	if named, ok := err.(*os.PathError); ok {
		return fmt.Errorf("%s: %w", named.Op, named.Err)
	}
	return err
}

// Sync is fdatasync: the segment's size and blocks are stable since it was prepared, so its times are all that is
// left out.
func (f diskFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("fdatasync: %w", err)
		}
		return nil
	}
}

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
