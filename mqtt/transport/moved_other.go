//go:build !linux

package transport

func movedOn(int) (m Moved, ok bool) { return m, false }
