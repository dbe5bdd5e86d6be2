//go:build !unix

package broker

const rawReads = false

func (in *input) tryRead(uintptr) bool { panic("BUG: raw reads are for unix") }
