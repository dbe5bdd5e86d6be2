package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
)

// pageSize of new files.
const pageSize = 4096

func boltOptions() *bolt.Options {
	return &bolt.Options{
		Timeout:        time.Second, // the folder is locked already
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
		PageSize:       pageSize,
	}
}

// openDatabase opens dir's database, and makes it first if there is none. The folder is locked.
func openDatabase(dir string) (db *bolt.DB, file *os.File, made bool, err error) {
	path := filepath.Join(dir, dataFile)
	_, err = os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		made, err = true, createDatabase(dir)
	}
	if err != nil {
		return nil, nil, false, err
	}
	if err := checkFile(path); err != nil {
		return nil, nil, false, fmt.Errorf("%s: %w: %s", path, err, whatToDo)
	}
	db, file, err = openFile(path)
	return db, file, made, err
}

// whatToDo ends what is said of damage.
const whatToDo = "restore a backup of the data folder, or move state.db and log away to start empty"

// createDatabase makes a whole database under another name and renames it, so that a crash leaves none or a
// whole one.
func createDatabase(dir string) error {
	path := filepath.Join(dir, newFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(path, 0o600, boltOptions())
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := errors.Join(db.Update(layOut), db.Close()); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := os.Rename(path, filepath.Join(dir, dataFile)); err != nil {
		return err
	}
	return syncFolder(dir)
}

// openFile opens a database that checkFile has found whole. What bbolt panics about all the same
// becomes an error.
func openFile(path string) (db *bolt.DB, file *os.File, err error) {
	options := boltOptions()
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		file = f
		return f, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			db, file, err = nil, nil, errors.Join(fmt.Errorf("open %s: %w: %v", path, ErrDamaged, r), file.Close())
		}
	}()
	db, err = bolt.Open(path, 0o600, options)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, file, nil
}
