// Package wal is a node's operation log: records appended in order, stable when Append returns,
// read back from any index after a crash.
//
//	Append(records…) ─ one write, one fdatasync ─▶ segment file, preallocated and zeroed
//	Replay(from)     ◀─ records in order, torn tail cut at Open
//	Trim(through)    ─ segments no longer needed become spare ones
//
// It knows nothing of what the records mean. A Log has one writer at a time, which the caller sees to; a goroutine of its
// own prepares the next segment and ends with Close. See DESIGN.md for the guarantee and the format.
package wal
