package logtest

import "testing"

func TestMemory(t *testing.T) {
	for seed := range uint64(10) {
		Run(t, func(*testing.T) Subject { return NewMedium(seed) })
	}
}
