package broker

import (
	"testing"

	"pgregory.net/rapid"
)

// The wheel against a table of due times: every alarm is looked at in its tick, once, unless removed.
func TestWheelAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWheel()
		due := map[int]uint32{}
		rang := map[int]bool{}
		alarms := make([]*alarm, 10)
		for i := range alarms {
			alarms[i] = &alarm{of: looker(func(uint32) uint32 { rang[i] = true; return 0 })}
		}
		gone := map[int]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				i, ticks := rapid.IntRange(0, 9).Draw(t, "alarm"), rapid.Uint32Range(0, 2*wheelSlots).Draw(t, "ticks")
				w.add(alarms[i], ticks)
				if !gone[i] {
					due[i] = w.now.Load() + min(max(ticks, 1), wheelSlots-1)
				}
			},
			"remove": func(t *rapid.T) {
				i := rapid.IntRange(0, 9).Draw(t, "alarm")
				w.remove(alarms[i])
				delete(due, i)
				gone[i] = true
			},
			"turn": func(t *rapid.T) {
				clear(rang)
				w.turn()
				for i := range alarms {
					if want := due[i] == w.now.Load(); rang[i] != want {
						t.Fatalf("alarm %d in tick %d: got looked at %t, want %t", i, w.now.Load(), rang[i], want)
					}
					if rang[i] {
						delete(due, i)
					}
				}
			},
		})
	})
}

func BenchmarkWheelTurn(b *testing.B) {
	w := newWheel()
	for range 15_000 {
		w.add(&alarm{of: looker(func(uint32) uint32 { return 60 })}, 60)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.turn()
	}
}

// looker is watched by a function.
type looker func(now uint32) uint32

func (l looker) look(now uint32) uint32 { return l(now) }
