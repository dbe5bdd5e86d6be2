// Package oplog is the seam between a store and the operation log under it: what a store asks of a log, and what it
// may rely on. The log of one machine's disk is internal/wal; a log that several machines keep can take its place,
// and the store does not notice.
//
//	store's writer ─ Append ─▶ index ─ Sync ─▶ stable: the store makes the record part of its state, and tells the waiters
//	start          ◀─ Replay from the record after the last one that the database holds: the state is made again
//	reader         ◀─ ReadPart: a message body that has not reached the database yet
//	checkpointer   ── Sync, then the database is written, then Trim
//
// The package has no code beside the errors; logtest runs the contract against an implementation.
package oplog

import "errors"

// What callers branch on. All other errors of Append are refusals: see there.
var (
	// ErrUncertain says that nobody knows which of the records that are not stable are in the log, and will be after
	// the next opening. It is final: each later Append and Sync answers it too, without trying. The log is closed and
	// opened again; that finds out.
	ErrUncertain = errors.New("what is in the log is uncertain")
	// ErrTrimmed says that a record is not there (any more).
	ErrTrimmed = errors.New("record was trimmed")
	// ErrClosed is what calls after Close answer.
	ErrClosed = errors.New("log is closed")
)

// Log is a list of records that only grows at its end and shrinks at its beginning.
//
// Record. Bytes, up to 64 MiB, which the log does not look into. It is whole or not there. Its index is above 0 and
// above those of all records before it; indices may have gaps (a log may keep entries of its own among the records).
//
// Order. Records are in the order of the Append calls, for ever: no later one is there without all earlier ones.
//
// Stable. A record is appended when Append returns, and can be read from then on. It is stable at the latest when a
// Sync that was called after that returns nil; a log may make it so sooner, alone or with others, and tells nobody. A
// stable record is there after every crash that the log is made for (internal/wal: a power cut; a replicated log: the
// loss of a minority), until it is trimmed. Of the records that are not stable a crash leaves a beginning: none,
// some, or all. Those it takes never come back, and their indices may be given again.
//
// Errors. A record is refused for sure, or its fate is unknown, and there is no third kind. See Append and Sync. What
// happens to a leader that loses its office in the middle of an Append is unknown, and so ErrUncertain.
//
// Opening. How is the implementation's own. An opened log holds what was stable, then what a crash left of the
// others, and all of that is stable. Then it calls nobody, starts nothing of the store, and waits for calls.
//
// Concurrency. One Append at a time, which the caller sees to. All other methods may be called beside it and each
// other. Replay, ReadPart, Bounds and Size do not wait for an Append or a Sync to end.
//
// Ownership. The log keeps no slice that it is given, and hands out none that it keeps, but for the call of visit.
type Log interface {
	// Append puts record behind the last one and returns its index. last = it makes room (it only removes), and may
	// use the room that the log keeps back for such records.
	//
	// An error that is not ErrUncertain is a refusal: the record is not in the log, and never will be; another Append
	// may succeed, and the next record is given an index as if this one had not been tried. No room is told as
	// syscall.ENOSPC, EDQUOT or EFBIG.
	Append(record []byte, last bool) (index uint64, err error)

	// Sync returns nil when each record that was appended before the call is stable. Every error is ErrUncertain or
	// ErrClosed. Nothing to be made stable costs nothing.
	Sync() error

	// Stock sees to it that the next Appends find room, as far as that can be done ahead. An error tells that there
	// is none.
	Stock() error

	// Replay visits the records from index from on (or from the first one that is there) to the last that was
	// appended before the call. record is valid only during visit, which must not call the Log; an error of visit
	// ends it and is wrapped.
	Replay(from uint64, visit func(index uint64, record []byte) error) error

	// ReadPart fills b with the bytes of a record from offset off on. It need not notice damage: who must know keeps
	// a checksum. A record that is not there is ErrTrimmed; fewer bytes than asked for are an error.
	ReadPart(index uint64, off int, b []byte) error

	// Trim tells that the records up to and including through, all of them stable, are not needed any more. The log
	// may keep them as long as it likes, but lets go the oldest first. An error that is not ErrUncertain changes
	// nothing but that they stay.
	Trim(through uint64) error

	// Bounds tells first, so that no record below it is there and all others are, and the index of the last one:
	// first-1 or less when there is none.
	Bounds() (first, last uint64)

	// Size is what the log takes of its medium, in bytes, room for later records left out.
	Size() int64

	// Close ends the log. What is appended and not stable is then as after a crash, at worst. It may be called twice.
	Close() error
}
