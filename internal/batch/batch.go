package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxKey bounds a key in bytes: twice the longest topic. A batch with a longer or an empty key is
// refused whole with ErrKey.
const MaxKey = 128 << 10

// ErrKey is what a batch with an empty key or one above MaxKey is refused with.
var ErrKey = errors.New("key is empty or too long")

// Waiter is told that a batch it is part of is stable (err nil) or was refused whole (err). Committed runs on the
// goroutine that ends the batch: the store's writer, or who calls Commit of an empty batch or of a closed store, or
// Abandon. It must not block, nor take a lock whose holder waits for the writer. It may call Commit.
type Waiter interface{ Committed(arg uint64, err error) }

// Batch gathers writes that become stable together. Not safe for concurrent use. Key and value
// slices are copied. The zero value works; Pool.Get reuses memory.
//
// A batch into which a taker has written is committed or abandoned, never forgotten. A taker (a session, the queue of
// a link, the retained messages) notes what it wrote as on its way, and goes on with it only when its Waiter is told;
// of a batch that nobody ends it would wait for ever, and so would all that came after it. Who makes a batch and
// hands it to takers therefore ends it on every path, with Commit of a store or with Abandon.
//
// Writes take effect in the order of the calls: the last write of a key is what stays.
type Batch struct {
	ops     []byte // see ops.go
	bodies  bodySet
	waiters []waiting
	count   int   // operations
	adds    int   // bytes of records and bodies put
	slack   Slack // how stable it is to be before its waiters are told
	owed    bool  // see SetOwed
	err     error // why it will be refused
	home    *Pool // where it came from, nil = none
}

// SetSlack sets how stable the batch is to be. Batches of one commit share the least slack among them, and what was
// committed before them becomes as stable.
func (b *Batch) SetSlack(s Slack) { b.slack = s }

// SetOwed says that b holds what another node has acknowledged already. A store gives it more room than what is new here, which
// can still be refused to who publishes it: beside the same message another node's takers write other things.
func (b *Batch) SetOwed() { b.owed = true }

type waiting struct {
	w   Waiter
	arg uint64
}

// Put stores value under key. A reference that the record before it held is released.
func (b *Batch) Put(t Table, key, value []byte) {
	if b.keyed(OpPut, t, key) {
		b.ops = binary.AppendUvarint(b.ops, uint64(len(value)+1))
		b.ops = append(b.ops, valuePlain)
		b.ops = append(b.ops, value...)
		b.adds += len(key) + len(value)
	}
}

// PutRef stores a record that holds one reference to the message body id, as long as the record is there: whatever
// replaces or removes it (Put, PutRef, Delete, DeleteRange) releases the body, so that references cannot go astray
// when a batch is refused. The value read back is id in 8 bytes big-endian, then rest (see RefID). encode appends the
// body's bytes; it is called at most once per body and batch, and what it appends is not written when the store has
// the body already.
func (b *Batch) PutRef(t Table, key []byte, id uint64, rest []byte, encode func(dst []byte) []byte) {
	b.body(id, encode)
	if b.keyed(OpPut, t, key) {
		b.ops = binary.AppendUvarint(b.ops, uint64(len(rest)+1+8))
		b.ops = append(b.ops, valueRef)
		b.ops = binary.BigEndian.AppendUint64(b.ops, id)
		b.ops = append(b.ops, rest...)
		b.adds += len(key) + len(rest)
	}
}

// Delete removes key, if it is there.
func (b *Batch) Delete(t Table, key []byte) { b.keyed(OpDelete, t, key) }

// DeleteRange removes from <= key < to (to nil = end of table).
func (b *Batch) DeleteRange(t Table, from, to []byte) {
	t.MustExist()
	b.ops = AppendRange(b.ops, t, from, to)
	b.count++
}

// body writes the bytes of a body, unless this batch has them already.
func (b *Batch) body(id uint64, encode func(dst []byte) []byte) {
	if b.bodies.has(id) {
		return
	}
	b.bodies.add(id)
	b.count++
	b.ops = appendBodyHead(b.ops, id)
	start := len(b.ops)
	b.ops = encode(b.ops)
	if len(b.ops) < start {
		panic("BUG: encode of a message body did not append")
	}
	binary.BigEndian.PutUint32(b.ops[start-4:], uint32(len(b.ops)-start))
	b.adds += len(b.ops) - start
}

// keyed starts an operation on one key.
func (b *Batch) keyed(kind Kind, t Table, key []byte) bool {
	t.MustExist()
	if len(key) == 0 || len(key) > MaxKey {
		b.err = fmt.Errorf("write to table %d: %w: %d bytes, allowed are 1 to %d", t, ErrKey, len(key), MaxKey)
		return false
	}
	b.count++
	b.ops = append(b.ops, byte(kind), byte(t))
	b.ops = AppendBytes(b.ops, key)
	return true
}

// Notify adds a waiter, told once: when the batch is stable, refused or abandoned. Who calls it relies on that, see
// Batch.
func (b *Batch) Notify(w Waiter, arg uint64) { b.waiters = append(b.waiters, waiting{w, arg}) }

// Empty reports whether there is nothing to write (waiters do not count).
func (b *Batch) Empty() bool { return len(b.ops) == 0 && b.err == nil }

// Size is an estimate of the bytes held.
func (b *Batch) Size() int { return len(b.ops) + 32*len(b.waiters) }

// Ops are the operations in bytes, for Next. They are the batch's, until Settle.
func (b *Batch) Ops() []byte { return b.ops }

// Count is the number of operations.
func (b *Batch) Count() int { return b.count }

// Adds is how many bytes of keys, values and bodies are put; 0 when the batch only removes.
func (b *Batch) Adds() int { return b.adds }

// Slack is what SetSlack set.
func (b *Batch) Slack() Slack { return b.slack }

// Owed is what SetOwed said.
func (b *Batch) Owed() bool { return b.owed }

// Refuse notes why the batch is not to be written; the first reason stays. Its operations and their memory are let
// go, its waiters are told by Settle.
func (b *Batch) Refuse(err error) {
	if b.err == nil {
		b.err = err
	}
	b.ops = nil
}

// Err is why the batch is not to be written: what Refuse was given, or ErrKey. nil = write it.
func (b *Batch) Err() error { return b.err }

// Settle ends the batch, for who commits it: its waiters are told, in the order of their Notify calls, that it is
// stable (nil), or why not (Err before err). After it the batch is its pool's.
func (b *Batch) Settle(err error) {
	if b.err != nil {
		err = b.err
	}
	for _, w := range b.waiters {
		w.w.Committed(w.arg, err)
	}
	if b.home != nil {
		b.home.put(b)
	}
}

// Abandon ends a batch that cannot be committed: its waiters are told err, which is not nil, in the order of their
// Notify calls, as if a store had refused the batch. What it would have written is not written. They are told from
// the caller's goroutine, before Abandon returns; Committed of a taker takes that taker's lock, so the caller holds
// none of them. Receipts that share the batch are closed before or after. The batch is its pool's then, as after
// Commit: it is neither used nor ended again.
func (b *Batch) Abandon(err error) {
	if err == nil {
		panic("BUG: a batch is abandoned without a reason")
	}
	b.Settle(err)
}

// maxPooled bounds the memory one batch in the pool holds on to.
const maxPooled = 256 << 10

// reset makes b empty for reuse; false when it has grown too large to be worth keeping.
func (b *Batch) reset() bool {
	if cap(b.ops) > maxPooled || cap(b.waiters) > maxPooled/32 {
		return false
	}
	clear(b.waiters)
	b.ops, b.waiters, b.err = b.ops[:0], b.waiters[:0], nil
	b.count, b.adds, b.slack, b.owed = 0, 0, Synced, false
	b.bodies.reset()
	return true
}

// bodySet knows which bodies a batch has written. Most batches know few, and ask for the last one again.
type bodySet struct {
	few  []uint64
	many map[uint64]struct{}
}

// fewBodies is how many ids are looked through one by one.
const fewBodies = 8

func (s *bodySet) has(id uint64) bool {
	for i := len(s.few) - 1; i >= 0; i-- {
		if s.few[i] == id {
			return true
		}
	}
	_, ok := s.many[id]
	return ok
}

func (s *bodySet) add(id uint64) {
	if len(s.few) == fewBodies {
		if s.many == nil {
			s.many = make(map[uint64]struct{})
		}
		for _, id := range s.few {
			s.many[id] = struct{}{}
		}
		s.few = s.few[:0]
	}
	s.few = append(s.few, id)
}

// maxPooledBodies bounds the map that is kept for the next use of the batch.
const maxPooledBodies = 1024

func (s *bodySet) reset() {
	s.few = s.few[:0]
	if len(s.many) > maxPooledBodies {
		s.many = nil
	}
	clear(s.many)
}
