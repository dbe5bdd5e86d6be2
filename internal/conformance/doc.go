// Package conformance holds the list of all normative statements of MQTT 5.0 and 3.1.1 and shows, for
// each, the code that implements it and the tests that prove it.
//
//	statements.txt ─┐
//	reasons.txt   ──┼─→ Table ─→ docs/conformance.md
//	*.go, testdata ─┘   (citations: [MQTT-3.3.1-2] for 5.0, [MQTT311-3.3.1-2] for 3.1.1)
//
// Its test fails when a citation names no statement, when a statement that binds a server lacks code or
// test and no reason is given, and when docs/conformance.md is not what `make conformance` writes. Lines
// of code may move without that; docs/conformance.md has those of the day it was written.
//
// Its folder wire has the tests that speak to a whole server, chapter by chapter.
package conformance
