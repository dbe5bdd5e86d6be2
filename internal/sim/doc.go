// Package sim makes bad networks and bad disks for tests and for the demo: real TCP through a proxy that
// delays, throttles, goes silent or resets at a word, a disk in memory that forgets what was not synced, and system calls
// that fail. Beside them are what tests of several packages need: a certificate, and a count of what is allocated.
//
//	client ──TCP──▶ Proxy ──TCP──▶ target
//	                 │ Cut, Heal, SetDelay, SetRate
//
// Each connection through a Proxy has two pipes, one for each direction; each pipe is a reader and
// a writer joined by a bounded queue. The Proxy owns them all and Close waits for them.
package sim
