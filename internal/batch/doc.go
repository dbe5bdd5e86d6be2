// Package batch is the unit in which the parts of a node write to stable storage: a list of writes in bytes, how
// stable they are to become (Slack), and who is told (Waiter). It knows no store: what commits a batch reads it by
// its methods, so another store can stand under session, retain, bridge and mqtt without their knowing.
//
//	caller ─ Pool.Get ─▶ Batch ─ Put, PutRef, Delete, DeleteRange, Notify ─▶ a store's Commit ─▶ Settle: Waiter.Committed(arg, err)
//	                      │ ops.go: the operations in bytes, as the log has them                       │
//	                      └ tables.go: which keys there are                  ◀─ back into the pool ────┘
//
// Pure: no I/O, no goroutines, no clock. DESIGN.md of internal/store says what a committed batch is good for.
package batch
