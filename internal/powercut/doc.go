// Package powercut cuts the power of a node at each step of its disk, and checks what the README promises of messages. Tests only.
//
//	publishers, subscribers ─ session, retain, router ─ store ─ log on a disk that loses, tears and reorders what was not synced
//	      (scripted here)        (the node under test)         └ database, as of before or after the checkpoint under way
//
// An edge and a core are two such nodes with a line between them, over which a power cut of either end breaks the link.
//
// The broker's connections are left out: a publish is handled as they handle it (Take, Publish, commit, acknowledge when the receipt is
// done), without sockets, so that a life takes milliseconds. internal/e2e kills real processes.
//
// Everything runs on one processor and on the clock of testing/synctest, so a seed and a step make nearly the same life again. What is left to
// chance is who runs while the database's file is written, and what a select picks: repeat with -count.
package powercut
