package firmwaresim

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"mangrove/internal/setting"
)

// Config describes a run. The zero value of every field but Brokers, Devices and Duration works. Zero and negative
// numbers mean what package setting says.
type Config struct {
	Brokers  []string      // host:port; devices are spread over them, site-1 is at the first
	Devices  int           // in all
	Duration time.Duration // from the end of the ramp-up until devices make no more readings

	Models   []string      // of Models(); none = all, in turns
	Rate     float64       // divides the models' intervals; 0 = 1
	RampUp   time.Duration // devices boot spread over this; 0 = a tenth of Duration, 10 s at most
	Settle   time.Duration // how long to wait for what is missing at the end; 0 = DefaultSettle
	Commands float64       // commands per second to the whole fleet; 0 = one per device and minute, at least one a second; negative = none
	Seed     uint64        // of the devices' behaviour; 0 = a random one

	Username, Password string

	Outbox int // messages one device holds while it cannot send; more readings are given up. 0 = DefaultOutbox
	Window int // unacknowledged QoS 1 and 2 messages of one device; 0 = DefaultWindow

	Progress func(Snapshot) // called once per second, and at each change of phase; nil = nobody looks
	Log      *slog.Logger   // nil = discard
}

// Defaults of Config.
const (
	DefaultDuration = 30 * time.Second // of the command; Config has none
	DefaultSettle   = 20 * time.Second
	DefaultOutbox   = 256
	DefaultWindow   = 16
	maxRampUp       = 10 * time.Second
	// MaxDevices bounds one process: each device is a connection, and a file.
	MaxDevices = 100_000
)

// Check fills in the defaults and tells what cannot be. Run calls it, too.
func (c *Config) Check() error {
	switch {
	case len(c.Brokers) == 0:
		return errors.New("no broker given")
	case c.Devices < 1 || c.Devices > MaxDevices:
		return fmt.Errorf("%d devices: there can be 1 to %d", c.Devices, MaxDevices)
	case c.Duration <= 0:
		return fmt.Errorf("a duration of %v: it must be longer than nothing", c.Duration)
	}
	err := errors.Join(
		setting.Default("Rate", &c.Rate, 1),
		setting.Default("RampUp", &c.RampUp, min(c.Duration/10, maxRampUp)),
		setting.Default("Settle", &c.Settle, DefaultSettle),
		setting.Default("Outbox", &c.Outbox, DefaultOutbox),
		setting.Default("Window", &c.Window, DefaultWindow),
	)
	if err != nil {
		return err
	}
	c.Commands = cmp.Or(c.Commands, max(float64(c.Devices)/60, 1))
	c.Seed = cmp.Or(c.Seed, rand.Uint64())
	if _, err := pickModels(c.Models); err != nil {
		return err
	}
	if c.Progress == nil {
		c.Progress = func(Snapshot) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Phase is where a run stands.
type Phase string

const (
	Probing  Phase = "probing"  // verifier subscribed; waiting until every way between the brokers is open
	RampUp   Phase = "ramp-up"  // devices boot
	Running  Phase = "running"  // all have booted
	Settling Phase = "settling" // no new readings; waiting for what is missing
	Done     Phase = "done"
)

// Snapshot is a run at one moment. Counters rise from the start.
type Snapshot struct {
	Phase     Phase
	Elapsed   time.Duration // since the ramp-up began
	Devices   int
	Connected int
	Total     Tally  // Lost is what is missing so far: it may still be on its way
	Waiting   uint64 // messages in the devices' outboxes
}
