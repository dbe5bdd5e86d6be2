package store

import (
	bolt "go.etcd.io/bbolt"

	"mangrove/internal/wal"
)

// Faults puts a bad disk under a store, for tests of what is built on it. The database itself stays a file in Dir: its transactions are
// atomic, so a power cut leaves it as of before or after one, and Commit says which.
type Faults struct {
	Log wal.Files // where the log is instead of the folder log in Dir

	// Commit stands for the commit of a checkpoint: it calls commit, or rollback and answers an error. nil = commit.
	Commit func(commit, rollback func() error) error
}

// files is where the log is; nil = the folder log in Dir.
func (f *Faults) files() wal.Files {
	if f == nil {
		return nil
	}
	return f.Log
}

// commit is how a checkpoint is committed; nil = as usual.
func (f *Faults) commit() func(*bolt.Tx) error {
	if f == nil || f.Commit == nil {
		return nil
	}
	return func(tx *bolt.Tx) error { return f.Commit(tx.Commit, tx.Rollback) }
}
