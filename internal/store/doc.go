// Package store is a node's stable storage: tables of ordered keys, message bodies kept once and
// counted, one writer that commits in groups to an operation log, and bbolt as its checkpoint. It is the only user of bbolt.
//
//	caller ─NewBatch, Put/PutRef/Delete/DeleteRange/Notify→ Batch ──Commit→ queue
//	                                                                          │ all that queued up
//	   Waiter.Committed(arg, err) ←─ writer goroutine ←──────────────── group │ while the last group
//	                                   │  collapse: the last write of a key   │ was synced
//	                                   │  wins, counts are summed
//	                                   ▼
//	                      one record of the log, one fdatasync → DIR/log
//	                                   ▼
//	                      delta in memory ── checkpointer goroutine: one synced transaction → DIR/state.db
//	                                   │                                                         │
//	caller ─Get, Scan, Body, Bodies→ ──┴─────────────────────────────────────────────────────────┘
//
// A batch.Batch is a plain list of writes in bytes and applying it depends on nothing but the
// state before it: no clock, no randomness, no order of a map. It is written to the log in the same form.
//
// Open starts three goroutines. The writer owns the log's writes and tells the waiters; the checkpointer owns the write
// transactions of bbolt; the third writes down now and then what the clock shows (clock.go). All end with Close, which waits for them.
//
// What a batch means belongs to its package: session, retain and bridge encode their own keys and
// values. DESIGN.md says what is guaranteed and why it is built so.
package store
