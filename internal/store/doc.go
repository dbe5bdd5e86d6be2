// Package store is a node's stable storage: tables of ordered keys, message bodies kept once and
// counted, one writer that commits in groups. It is the only user of bbolt.
//
//	caller ─NewBatch, Put/PutRef/Delete/Keep/Release/Notify→ Batch ─Commit→ queue
//	                                                                          │ all that queued up
//	   Waiter.Committed(arg, err) ←─ writer goroutine ←──────────────── group │ while the last group
//	                                   │  collapse: the last write of a key   │ was synced
//	                                   │  wins, counts are summed
//	                                   ▼
//	                      one synced bbolt transaction (sorted keys) → DIR/state.db
//	caller ─Get, Scan, Body, Bodies→ bbolt read transaction: what is committed
//
// A Batch is a plain list of writes in bytes (ops.go) and applying it depends on nothing but the
// state before it: no clock, no randomness, no order of a map. It can be written to a log as it is.
//
// Open starts one goroutine, the writer. It owns every write transaction, tells the waiters, and
// ends with Close, which waits for it.
//
// What a batch means belongs to its package: session, retain and bridge encode their own keys and
// values. DESIGN.md says what is guaranteed and why it is built so.
package store
