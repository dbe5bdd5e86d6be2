//go:build !linux

package transport

func movedOn(int) (m Moved, ok bool) { return m, false }

func unackedOn(int) (n int, ok bool) { return 0, false }
