package firmwaresim

import (
	"math/rand/v2"
	"time"
)

const (
	doorQuiet    = 25 * time.Second // mean time between two visits
	doorStayOpen = 4 * time.Second  // mean
)

var doorModel = model{
	name: "door", firmware: "1.0.7", every: doorQuiet, commands: []string{"get_state"},
	build: func(rng *rand.Rand) sensor {
		return &door{battery: 2.9 + 0.2*rng.Float64()}
	},
}

// door rarely speaks, and each word counts: opened, closed. QoS 2.
type door struct {
	open     bool
	openings int
	battery  float64
}

type doorBody struct {
	Header
	Open     bool    `json:"open"`
	Openings int     `json:"openings"`
	Battery  float64 `json:"battery_v"`
}

func (s *door) read(_ time.Time, rng *rand.Rand) (body, byte, time.Duration) {
	s.open = !s.open
	s.battery = max(s.battery-0.0001, 2.0)
	mean := doorQuiet
	if s.open {
		s.openings++
		mean = doorStayOpen
	}
	next := time.Duration(min(rng.ExpFloat64(), 4) * float64(mean))
	return &doorBody{Open: s.open, Openings: s.openings, Battery: round(s.battery, 3)}, 2, next
}

func (s *door) command(name string, _ float64, _ time.Time) (float64, bool) {
	if s.open {
		return 1, name == "get_state"
	}
	return 0, name == "get_state"
}
