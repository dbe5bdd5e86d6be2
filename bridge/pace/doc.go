// Package pace finds out how much a line carries, so that about a second of it is under way and not more: what is urgent then
// waits about a second. It has no I/O, no clock and no goroutines.
//
//	who sends ─ Room? Frame, Window ─→ one frame ─ Sent ─┐
//	            ↑                                        ├─ how long did it take? ─→ window
//	            └── Look (the kernel's word), Answered (the other node's) ──┘
package pace
