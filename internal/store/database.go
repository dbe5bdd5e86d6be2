package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// pageSize of new files.
const pageSize = 4096

// mapAhead is how much of the file is mapped at least, whether it is there yet or not: this is room for addresses only. When bbolt has to map more in
// the middle of a transaction, it first copies each key and value of the pages that the transaction has changed.
const mapAhead = 64 << 20

// growStep is how much longer than needed the file becomes, by default it would be as long as what is mapped. It grows once in a checkpoint.
const growStep = 32 << 10

// openBolt opens the file, which is made when it is missing. open = nil: os.OpenFile.
func openBolt(path string, open func(name string, flag int, mode os.FileMode) (*os.File, error)) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:         time.Second, // the folder is locked already
		NoFreelistSync:  true,
		FreelistType:    bolt.FreelistMapType,
		PageSize:        pageSize,
		InitialMmapSize: mapAhead,
		OpenFile:        open,
	})
	if err != nil {
		return nil, err
	}
	db.AllocSize = growStep
	return db, nil
}

// openDatabase opens dir's database, and makes it first if there is none. The folder is locked.
func openDatabase(dir string) (db *database, made bool, err error) {
	path := filepath.Join(dir, dataFile)
	_, err = os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		made, err = true, createDatabase(dir)
	}
	if err != nil {
		return nil, false, err
	}
	if err := removeNew(dir); err != nil {
		return nil, false, err
	}
	if err := checkFile(path); err != nil {
		return nil, false, fmt.Errorf("%s: %w: %s", path, err, whatToDo)
	}
	db, err = openFile(path)
	return db, made, err
}

// removeNew removes a database that a crash left half made.
func removeNew(dir string) error {
	if err := os.Remove(filepath.Join(dir, newFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// whatToDo ends what is said of damage.
const whatToDo = "restore a backup of the data folder, or move state.db and log away to start empty"

// createDatabase makes a whole database under another name and renames it, so that a crash leaves none or a
// whole one.
func createDatabase(dir string) error {
	if err := removeNew(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, newFile)
	db, err := openBolt(path, nil)
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
func openFile(path string) (db *database, err error) {
	var file *os.File
	open := func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		file = f
		return f, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, errors.Join(fmt.Errorf("open %s: %w: %v", path, ErrDamaged, r), file.Close())
		}
	}()
	opened, err := openBolt(path, open)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &database{DB: opened, file: file}, nil
}

// database is an open state.db.
type database struct {
	*bolt.DB
	file      *os.File // which DB closes
	allocated int64    // bytes that have blocks on the disk; the writer's
	users     int      // guarded by dataFiles.mu
}

// dataFiles is the database in use, and those before it that somebody still reads. The checkpointer alone replaces it.
type dataFiles struct {
	mu      sync.Mutex
	db      *database
	leaving sync.WaitGroup // databases that were replaced and are open
	failed  error          // of their closing
}

// use is for everybody but the checkpointer: the database stays open until leave.
func (f *dataFiles) use() *database {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.db.users++
	return f.db
}

// leave closes a database that was replaced, after its last user.
func (f *dataFiles) leave(db *database) {
	f.mu.Lock()
	db.users--
	last := db != f.db && db.users == 0
	f.mu.Unlock()
	if last {
		f.closeOld(db)
	}
}

// replace makes db the one that is used from here on.
func (f *dataFiles) replace(db *database) {
	f.mu.Lock()
	old := f.db
	f.db = db
	f.leaving.Add(1)
	last := old.users == 0
	f.mu.Unlock()
	if last {
		f.closeOld(old)
	}
}

func (f *dataFiles) closeOld(db *database) {
	defer f.leaving.Done()
	if err := db.Close(); err != nil {
		f.mu.Lock()
		f.failed = errors.Join(f.failed, err)
		f.mu.Unlock()
	}
}

// close waits for all users.
func (f *dataFiles) close() error {
	err := f.db.Close()
	f.leaving.Wait()
	return errors.Join(err, f.failed)
}
