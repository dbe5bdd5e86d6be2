// Package store is a node's stable storage: tables of ordered keys, message bodies kept once and
// counted, one writer that commits in groups.
package store

import "time"

// Table names a set of keys. Tables are known at compile time; each belongs to one package.
type Table byte

const (
	Sessions      Table = 1 // session: session records, by client id
	Subscriptions Table = 2 // session: by (session number, filter)
	Queues        Table = 3 // session: by (session number, sequence)
	Received      Table = 4 // session: QoS 2 packet ids taken in, by (session number, packet id)
	Retained      Table = 5 // retain: by topic
	Neighbours    Table = 6 // bridge: neighbour records, by name
	LinkQueues    Table = 7 // bridge: by (neighbour number, lane, sequence)
	Seen          Table = 8 // bridge: repeat filter chunks, by (origin store, chunk)
	Interest      Table = 9 // bridge: by (neighbour number, filter)
)

// Config of a Store. The zero value of every field but Dir works.
type Config struct {
	Dir         string        // data folder, made if missing; one process at a time
	LockTimeout time.Duration // how long Open waits for another process; default 1 s
}

// Store is safe for concurrent use.
type Store struct{}

// Open opens or makes the store in cfg.Dir. A folder in use, made by a newer version, or damaged
// is refused with what to do.
func Open(cfg Config) (*Store, error) { panic("stub") }

// ID is random and was made with the database. Never 0.
func (s *Store) ID() uint64 { panic("stub") }

// NextID gives numbers that rise and are never given twice, restarts included; gaps are normal. Never 0.
func (s *Store) NextID() uint64 { panic("stub") }

// Commit queues b for the writer and returns at once. Batches become stable in the order of their
// Commit calls, each whole or not at all; then every Waiter of b is told, in order, from the
// writer's goroutine. The store owns b from here on. An empty batch is told at once, from the
// caller's goroutine.
func (s *Store) Commit(b *Batch) { panic("stub") }

// Get returns a copy of the value under key, nil when there is none. It sees what is committed.
func (s *Store) Get(t Table, key []byte) ([]byte, error) { panic("stub") }

// Body returns a copy of a message body, nil when there is none.
func (s *Store) Body(id uint64) ([]byte, error) { panic("stub") }

// Scan visits the keys from <= key < to in order (to nil = end of table) while visit returns true.
// k and v are valid only during the call. visit must not call the Store.
func (s *Store) Scan(t Table, from, to []byte, visit func(k, v []byte) bool) error { panic("stub") }

// Healthy is nil while writes can be accepted; else why not (disk full, I/O error).
func (s *Store) Healthy() error { panic("stub") }

// Close commits what is queued and closes the files. It may be called twice.
func (s *Store) Close() error { panic("stub") }

// Waiter is told that a batch it is part of is stable (err nil) or was refused whole (err).
// Committed runs on the writer's goroutine and must not block or call Commit's caller's locks
// in an order that waits for the writer.
type Waiter interface{ Committed(arg uint64, err error) }

// Batch gathers writes that become stable together. Not safe for concurrent use. Key and value
// slices are copied.
type Batch struct{}

func (b *Batch) Put(t Table, key, value []byte) { panic("stub") }
func (b *Batch) Delete(t Table, key []byte)     { panic("stub") }

// DeleteRange removes from <= key < to.
func (b *Batch) DeleteRange(t Table, from, to []byte) { panic("stub") }

// Keep adds one reference to the message body id. encode is called at most once per body and
// batch, to append its bytes; a body that is stored already is not written again.
func (b *Batch) Keep(id uint64, encode func(dst []byte) []byte) { panic("stub") }

// Release drops one reference; the body goes with its last one.
func (b *Batch) Release(id uint64) { panic("stub") }

// Notify adds a waiter, told when the batch is stable or refused.
func (b *Batch) Notify(w Waiter, arg uint64) { panic("stub") }

// Empty reports whether there is nothing to write (waiters do not count).
func (b *Batch) Empty() bool { panic("stub") }

// Size is an estimate of the bytes held.
func (b *Batch) Size() int { panic("stub") }
