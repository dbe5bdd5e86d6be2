package firmwaresim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/mqtt/client"
)

// Bounds of a fleet's own work. What finds no place waits.
const (
	wakeWorkers = 4
	maxDials    = 64
	linkTime    = 10 * time.Second // to connect and subscribe
	retireTime  = 5 * time.Second  // for all devices to take their leave
)

// fleet is all devices of a run.
type fleet struct {
	cfg       *Config
	run       string
	ctx       context.Context // ends with the run
	cancel    context.CancelFunc
	ledger    *Ledger
	scheduler *scheduler
	runners   []*runner
	due       chan *runner   // from the scheduler to the workers
	dials     chan struct{}  // a place for each connect under way
	owned     sync.WaitGroup // scheduler, workers, and one goroutine for each connection

	leaving      atomic.Bool // retire has begun: nobody connects any more
	connected    atomic.Int64
	reconnects   atomic.Uint64
	sessionsLost atomic.Uint64
}

// newFleet makes the devices, spread over sites and models in turns, and starts the clock.
func newFleet(cfg *Config, run string, models []model, ledger *Ledger) *fleet {
	f := &fleet{cfg: cfg, run: run, ledger: ledger, due: make(chan *runner), dials: make(chan struct{}, maxDials)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.scheduler = newScheduler(f.ring)
	for i := range cfg.Devices {
		f.add(i, models[i/len(cfg.Brokers)%len(models)])
	}
	f.owned.Go(func() { f.scheduler.run(f.ctx) }) // both end with ctx; close waits
	for range wakeWorkers {
		f.owned.Go(f.work)
	}
	return f
}

func (f *fleet) add(i int, m model) {
	site := i % len(f.cfg.Brokers)
	id := fmt.Sprintf("%s-%04d", m.name, i+1)
	lim := limits{outbox: f.cfg.Outbox, window: f.cfg.Window, rate: f.cfg.Rate}
	rng := rand.New(rand.NewPCG(f.cfg.Seed, uint64(i)))
	f.runners = append(f.runners, &runner{
		fleet: f, account: f.ledger.register(id, m.name), site: site,
		device: newDevice(id, f.run, siteName(site), m, lim, rng), session: new(client.State),
	})
}

// siteName is how topics name the devices of one broker.
func siteName(site int) string { return fmt.Sprintf("site-%d", site+1) }

// ring hands a device that is due to a worker.
func (f *fleet) ring(r *runner) {
	select {
	case f.due <- r:
	case <-f.ctx.Done():
	}
}

func (f *fleet) work() {
	for {
		select {
		case r := <-f.due:
			r.wake(time.Now())
		case <-f.ctx.Done():
			return
		}
	}
}

// count notes that r is connected; present tells whether the broker remembered its session.
func (f *fleet) count(r *runner, present bool) {
	if r.connects++; r.connects == 1 {
		return
	}
	f.reconnects.Add(1)
	if !present {
		f.sessionsLost.Add(1)
	}
}

// rest ends the readings of all devices.
func (f *fleet) rest() {
	for _, r := range f.runners {
		r.rest()
	}
}

// outboxes counts what devices hold back and what they gave up, by model.
func (f *fleet) outboxes(sums map[string]Tally) {
	for _, r := range f.runners {
		r.mu.Lock()
		t := sums[r.device.model.name]
		t.Unsent += uint64(len(r.device.outbox))
		t.NotPublished += r.device.notPublished
		sums[r.device.model.name] = t
		r.mu.Unlock()
	}
}

// retire lets every connected device take its leave, so that nothing of the run stays at the brokers.
func (f *fleet) retire() {
	ctx, cancel := context.WithTimeout(context.Background(), retireTime)
	defer cancel()
	places := make(chan struct{}, maxDials)
	f.leaving.Store(true)
	var leaving sync.WaitGroup
	var left atomic.Int64
	for _, r := range f.runners {
		places <- struct{}{}
		leaving.Go(func() { // ends when the device has left, or with ctx; waited for below
			defer func() { <-places }()
			if err := r.retire(ctx); err != nil {
				f.cfg.Log.Debug("device did not take its leave", "device", r.device.id, "err", err)
				return
			}
			left.Add(1)
		})
	}
	leaving.Wait()
	if n := int64(len(f.runners)) - left.Load(); n > 0 {
		f.cfg.Log.Warn("sessions and retained messages of devices stay at their brokers", "devices", n)
	}
}

// close ends every connection and waits.
func (f *fleet) close() {
	f.cancel()
	f.owned.Wait()
}
