package store

// childMain runs a role of this test binary as a child process, when it is one.
func childMain() bool { return false }
