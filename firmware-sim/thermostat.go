package firmwaresim

import (
	"math/rand/v2"
	"time"
)

const thermostatEvery = 5 * time.Second

var thermostatModel = model{
	name: "thermostat", firmware: "3.2.1", every: thermostatEvery, commands: []string{"set_target", "get_target"},
	build: func(rng *rand.Rand) sensor {
		return &thermostat{room: 18 + 4*rng.Float64(), target: 19 + float64(rng.IntN(8))/2, humidity: 40 + 15*rng.Float64()}
	},
}

// thermostat heats a room that leaks warmth to a day outside. QoS 1.
type thermostat struct {
	room, target, humidity float64
	heating                bool
}

type thermostatBody struct {
	Header
	Temperature float64 `json:"temperature_c"`
	Target      float64 `json:"target_c"`
	Humidity    float64 `json:"humidity_pct"`
	Heating     bool    `json:"heating"`
}

func (s *thermostat) read(now time.Time, rng *rand.Rand) (body, byte, time.Duration) {
	outside := 2 + 12*dayCurve(now)
	s.room += 0.002 * (outside - s.room)
	if s.heating {
		s.room += 0.08
	}
	s.room = walk(s.room, 0.03, -10, 45, rng)
	s.humidity = walk(s.humidity, 0.3, 20, 80, rng)
	switch { // half a degree of hysteresis keeps the relay from chattering
	case s.room < s.target-0.25:
		s.heating = true
	case s.room > s.target+0.25:
		s.heating = false
	}
	return &thermostatBody{
		Temperature: round(s.room, 2), Target: s.target, Humidity: round(s.humidity, 1), Heating: s.heating,
	}, 1, thermostatEvery
}

func (s *thermostat) command(name string, value float64, _ time.Time) (float64, bool) {
	switch {
	case name == "get_target":
		return s.target, true
	case name == "set_target" && value >= 5 && value <= 30:
		s.target = round(value, 1)
		return s.target, true
	}
	return 0, false
}
