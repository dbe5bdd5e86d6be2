// Package overflow is what queues have in common at their bounds: which message gives way, by topic, and how an operator hears
// of a queue that is full.
//
//	a message for a full queue ─ Rules.Of(topic) ─┬ drop-oldest ─ the oldest of that queue give way
//	                                              ├ refuse ────── its publisher is told; what a link brings is parked
//	                                              └ drop-new ──── that queue goes without it
//	each of them ─ Spell.Note ─ WARN at the first, then at doubling intervals ─ Spell.End ─ INFO
//
// No goroutines; a Spell is guarded by the lock of its queue.
package overflow
