package firmwaresim

import (
	"math/rand/v2"
	"time"
)

const (
	vibrationEvery = 5 * time.Second
	// One summary in burstChance starts a burst of raw samples.
	burstChance  = 6
	burstSamples = 20
	burstEvery   = 50 * time.Millisecond
)

var vibrationModel = model{
	name: "vibration", firmware: "4.1.0", every: vibrationEvery, commands: []string{"measure"},
	build: func(rng *rand.Rand) sensor {
		return &vibration{rms: 0.5 + rng.Float64(), bearing: 35 + 10*rng.Float64()}
	},
}

// vibration watches a motor: a summary now and then (QoS 0), and a burst of samples (QoS 1) when something shakes
// or somebody asks.
type vibration struct {
	rms, bearing float64
	burst        int // samples left
}

type vibrationBody struct {
	Header
	RMS     float64 `json:"rms_mm_s"`
	Peak    float64 `json:"peak_mm_s"`
	Bearing float64 `json:"bearing_c"`
	Sample  int     `json:"burst_sample,omitempty"` // counts down within a burst
}

func (s *vibration) read(_ time.Time, rng *rand.Rand) (body, byte, time.Duration) {
	s.rms = walk(s.rms, 0.1, 0.2, 6, rng)
	s.bearing = walk(s.bearing, 0.2, 25, 80, rng)
	b := &vibrationBody{RMS: round(s.rms, 3), Peak: round(s.rms*(1.4+0.4*rng.Float64()), 3), Bearing: round(s.bearing, 1)}
	if s.burst > 0 {
		b.Sample = s.burst
		b.RMS = round(3*s.rms+rng.NormFloat64(), 3)
		s.burst--
		return b, 1, s.pause()
	}
	if rng.IntN(burstChance) == 0 {
		s.burst = burstSamples
	}
	return b, 0, s.pause()
}

func (s *vibration) pause() time.Duration {
	if s.burst > 0 {
		return burstEvery
	}
	return vibrationEvery
}

func (s *vibration) command(name string, _ float64, _ time.Time) (float64, bool) {
	if name != "measure" {
		return 0, false
	}
	s.burst = burstSamples
	return burstSamples, true
}
