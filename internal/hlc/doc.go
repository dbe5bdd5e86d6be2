// Package hlc is the clock that the versions of retained messages are made of: a hybrid logical clock. It shows the time where
// clocks are right, and counts where they are not, so that of two versions of one topic the higher one is the newer.
//
//	own clock ──────┐
//	neighbours' ────┴→ Read: the time of the fleet ─ Next: never twice, above what the topic holds ─→ Time
//
// It is pure: whoever has it gives it the time. It starts no goroutine, takes no lock and reads no clock.
//
// What it does with a clock that is wrong:
//
//	before 2025 (not set)      the node goes by what it hears; until it hears something, it counts from the highest it has given or held
//	behind its neighbours      the node goes by what it hears: an edge by its core, a core by other cores that are at most Ahead before it
//	ahead of its neighbours    an edge that is more than Ahead before its core goes by the core; nobody else follows a clock that is
//	                           more than Ahead before the own one
//	set back                   the clock counts on where it was for up to Ahead, and falls back to the time above that
//
// So a clock that is far ahead spoils no other clock. Versions that it has stamped stay the newest of their topics until they are
// replaced, which each node that holds such a topic can do at once: Next gives it a version above the one held.
package hlc
