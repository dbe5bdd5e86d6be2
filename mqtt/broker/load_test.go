package broker

import (
	"math"
	"testing"
	"time"
)

// A steady rate becomes the average, sooner over one minute than over fifteen.
func TestLoad(t *testing.T) {
	var l load
	value := uint64(0)
	averages := func(steps int) [3]float64 {
		for range steps {
			value += 100
			l.figures([]counted{{"x", value}}, 10*time.Second)
		}
		return l.rates["x"].averages
	}
	early := averages(6)
	if !(early[0] > early[1] && early[1] > early[2] && early[0] < 600) {
		t.Errorf("got %v after a minute of 600 per minute, want the longer averages behind", early)
	}
	for i, got := range averages(6 * 120) {
		if math.Abs(got-600) > 1 {
			t.Errorf("average %d: got %v after two hours, want 600", i, got)
		}
	}
	all := l.figures([]counted{{"x", value}}, 0)
	if len(all) != 3 || all[0].name != "load/x/1min" || all[0].value != "600.00" {
		t.Errorf("got %+v", all)
	}
}
