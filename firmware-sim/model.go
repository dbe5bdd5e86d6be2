package firmwaresim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// model is a kind of device.
type model struct {
	name     string
	firmware string
	every    time.Duration // usual time between readings
	commands []string      // what the verifier may ask for
	build    func(rng *rand.Rand) sensor
}

// sensor is what a device measures with. Pure: time and randomness are handed in.
type sensor interface {
	// read measures now. next is how long until the following reading, before jitter.
	read(now time.Time, rng *rand.Rand) (b body, qos byte, next time.Duration)
	// command does what was asked; ok is false when the sensor cannot.
	command(name string, value float64, now time.Time) (result float64, ok bool)
}

// models are all there are, in the order in which a fleet takes turns.
func models() []model {
	return []model{thermostatModel, powerMeterModel, gpsTrackerModel, vibrationModel, doorModel}
}

// Models lists the names of the device models.
func Models() []string {
	var names []string
	for _, m := range models() {
		names = append(names, m.name)
	}
	return names
}

// pickModels finds models by name; none named means all.
func pickModels(names []string) ([]model, error) {
	all := models()
	if len(names) == 0 {
		return all, nil
	}
	var picked []model
	for _, name := range names {
		i := slices.IndexFunc(all, func(m model) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown device model %q: there are %s", name, strings.Join(Models(), ", "))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

// walk moves v by up to step and keeps it within lo and hi.
func walk(v, step, lo, hi float64, rng *rand.Rand) float64 {
	return min(max(v+(2*rng.Float64()-1)*step, lo), hi)
}

// dayCurve is 0 at four in the night and 1 at four in the afternoon.
func dayCurve(now time.Time) float64 {
	hours := float64(now.Hour()) + float64(now.Minute())/60
	return 0.5 - 0.5*math.Cos((hours-4)/24*2*math.Pi)
}

// round keeps d digits after the point, as a sensor's resolution.
func round(v float64, d int) float64 {
	p := math.Pow10(d)
	return math.Round(v*p) / p
}
