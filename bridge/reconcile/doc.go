// Package reconcile finds out in which topics two nodes hold different retained messages, by sums over ranges of topics, so that
// nodes that agree tell each other one sum, and nodes that differ in a few topics tell each other those.
//
//	one                                              other
//	Sum of all topics        ─────────────────────→  the same: nothing to say
//	                         ←─────────────────────  Sums of sixteen ranges, where there is more than a handful
//	List of a small range    ─────────────────────→  List of what is newer there, or missing here; Want of what is newer here
//	Want                     ─────────────────────→  (both send each other what was wanted, by the link's queue)
//
// A topic is known by the hash of its name, a message by its version. Sums and whole Lists are over messages, not over clearings: a
// clearing is told to who still has the message, and to nobody else.
//
// Talk is the state machine of one side: pure, without clock and I/O. It starts no goroutine.
package reconcile
