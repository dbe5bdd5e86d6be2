package sim

import (
	"testing"
	"time"
)

func TestWallJumpsAndGoesOnSteadily(t *testing.T) {
	var w Wall
	for _, ahead := range []time.Duration{0, 240 * time.Hour, -240 * time.Hour, -50 * 365 * 24 * time.Hour} {
		before := w.Now()
		w.Set(ahead)
		after := w.Now()
		if passed := after.Sub(before); passed < 0 || passed > time.Minute {
			t.Errorf("set %v ahead: %v have passed, want none", ahead, passed)
		}
		if off := after.Round(0).Sub(time.Now().Round(0)) - ahead; off < -time.Minute || off > time.Minute {
			t.Errorf("set %v ahead: the time of day is off by %v", ahead, off)
		}
	}
}
