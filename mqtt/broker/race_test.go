//go:build race

package broker

// racing says that sync.Pool forgets at random, so that allocations cannot be counted.
const racing = true
