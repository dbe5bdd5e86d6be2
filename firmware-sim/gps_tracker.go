package firmwaresim

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	trackEvery = time.Second
	// waypointEvery positions one is sent at QoS 1: the line on the map may miss points, the log book not.
	waypointEvery   = 10
	metersPerDegree = 111_320.0
)

var gpsTrackerModel = model{
	name: "gps-tracker", firmware: "2.0.4", every: trackEvery, commands: []string{"locate"},
	build: func(rng *rand.Rand) sensor {
		return &gpsTracker{
			lat: 53.55 + 0.1*(rng.Float64()-0.5), lon: 9.99 + 0.2*(rng.Float64()-0.5),
			heading: 360 * rng.Float64(), speed: 8, battery: 70 + 30*rng.Float64(),
		}
	},
}

// gpsTracker drives a route: it keeps its heading, turns at crossings, stops at lights. QoS 0 and 1.
type gpsTracker struct {
	lat, lon, heading, speed, battery float64
	last                              time.Time
	fixes                             int
}

type gpsTrackerBody struct {
	Header
	Lat        float64 `json:"lat"`
	Lon        float64 `json:"lon"`
	Speed      float64 `json:"speed_kmh"`
	Heading    float64 `json:"heading_deg"`
	Satellites int     `json:"satellites"`
	Battery    float64 `json:"battery_pct"`
	Waypoint   bool    `json:"waypoint,omitempty"`
}

func (s *gpsTracker) read(now time.Time, rng *rand.Rand) (body, byte, time.Duration) {
	s.drive(now, rng)
	s.fixes++
	b := &gpsTrackerBody{
		Lat: round(s.lat, 6), Lon: round(s.lon, 6), Speed: round(s.speed*3.6, 1), Heading: round(s.heading, 0),
		Satellites: 7 + rng.IntN(6), Battery: round(s.battery, 1), Waypoint: s.fixes%waypointEvery == 0,
	}
	if b.Waypoint {
		return b, 1, trackEvery
	}
	return b, 0, trackEvery
}

// drive moves along the heading for the time since the last fix.
func (s *gpsTracker) drive(now time.Time, rng *rand.Rand) {
	switch {
	case rng.IntN(15) == 0: // a crossing
		s.heading = math.Mod(s.heading+[]float64{90, 270, 0, 0}[rng.IntN(4)]+360, 360)
	case rng.IntN(25) == 0: // a red light
		s.speed = 0
	default:
		s.speed = walk(s.speed, 1.5, 0, 16, rng)
	}
	if !s.last.IsZero() {
		way := s.speed * now.Sub(s.last).Seconds() / metersPerDegree
		rad := s.heading * math.Pi / 180
		s.lat += way * math.Cos(rad)
		s.lon += way * math.Sin(rad) / math.Cos(s.lat*math.Pi/180)
	}
	s.last = now
	s.battery = max(s.battery-0.001, 5)
}

func (s *gpsTracker) command(name string, _ float64, _ time.Time) (float64, bool) {
	return round(s.heading, 0), name == "locate"
}
