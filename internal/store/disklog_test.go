package store

import (
	"math/rand/v2"
	"testing"

	"mangrove/internal/oplog"
	"mangrove/internal/oplog/logtest"
	"mangrove/internal/sim"
	"mangrove/internal/wal/waltest"
)

// diskSubject is the log of a disk whose power may be cut.
type diskSubject struct {
	disk    *sim.Disk
	rng     *rand.Rand
	crashed bool
}

func (d *diskSubject) Open() (oplog.Log, error) {
	if d.crashed {
		d.disk.Restart(d.rng)
		d.crashed = false
	}
	cfg := Config{Dir: "unused", SegmentBytes: 8 << 10, Faults: &Faults{Log: waltest.Files{Disk: d.disk}}}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return openDiskLog(cfg)
}

func (d *diskSubject) Crash() {
	d.disk.CutAt(1)
	d.crashed = true
}

func (d *diskSubject) FailNext(err error) {
	if err == nil {
		d.disk.FailAt(0, nil)
		return
	}
	d.disk.FailAt(1, err)
}

// The log of a disk keeps the contract that the store relies on.
func TestDiskLog(t *testing.T) {
	for seed := range uint64(3) {
		logtest.Run(t, func(*testing.T) logtest.Subject {
			return &diskSubject{disk: sim.NewDisk(), rng: rand.New(rand.NewPCG(seed, 1))}
		})
	}
}
