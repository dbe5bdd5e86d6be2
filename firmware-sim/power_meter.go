package firmwaresim

import (
	"math/rand/v2"
	"time"
)

const (
	meterEvery = 2 * time.Second
	// billEvery readings there is one for billing, which must count exactly once: QoS 2.
	billEvery = 5
)

var powerMeterModel = model{
	name: "power-meter", firmware: "1.9.0", every: meterEvery, commands: []string{"read_energy"},
	build: func(rng *rand.Rand) sensor {
		return &powerMeter{base: 150 + 400*rng.Float64(), energy: 1000 + 9000*rng.Float64()}
	},
}

// powerMeter follows a household: a base load, a day curve, appliances that come and go. QoS 1 and 2.
type powerMeter struct {
	base, appliance, energy float64
	last                    time.Time
	readings                int
}

type powerMeterBody struct {
	Header
	Power   float64 `json:"power_w"`
	Energy  float64 `json:"energy_kwh"`
	Voltage float64 `json:"voltage_v"`
	Current float64 `json:"current_a"`
	Billing bool    `json:"billing,omitempty"`
}

func (s *powerMeter) read(now time.Time, rng *rand.Rand) (body, byte, time.Duration) {
	if rng.IntN(20) == 0 { // a kettle, an oven, or neither
		s.appliance = []float64{0, 0, 1200, 2200}[rng.IntN(4)]
	}
	power := s.base*(0.6+0.8*dayCurve(now)) + s.appliance + 10*rng.NormFloat64()
	power = max(power, 0)
	if !s.last.IsZero() {
		s.energy += power / 1000 * now.Sub(s.last).Hours()
	}
	s.last = now
	s.readings++
	voltage := 230 + 1.5*rng.NormFloat64()
	b := &powerMeterBody{
		Power: round(power, 1), Energy: round(s.energy, 4), Voltage: round(voltage, 1), Current: round(power/voltage, 2),
		Billing: s.readings%billEvery == 0,
	}
	if b.Billing {
		return b, 2, meterEvery
	}
	return b, 1, meterEvery
}

func (s *powerMeter) command(name string, _ float64, _ time.Time) (float64, bool) {
	return round(s.energy, 4), name == "read_energy"
}
