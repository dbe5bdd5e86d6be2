package firmwaresim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Times of a run's own loop.
const (
	progressEvery = time.Second
	lookEvery     = 20 * time.Millisecond  // for what is due and what is complete
	settleLook    = 200 * time.Millisecond // summing the ledger up costs something with many devices
	quietTime     = 500 * time.Millisecond // without any arrival, QoS 0 messages are not waited for any longer
)

// Run lets a fleet run and returns what it proved. It blocks for ramp-up, Duration and at most Settle, and leaves no
// goroutine, connection, session or retained message behind. When ctx ends first, it returns what is known by then
// together with ctx's error; the report is nil only when the run could not begin.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	models, err := pickModels(cfg.Models)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%06x", rand.Uint32N(1<<24))
	f := newFleet(&cfg, name, models, newLedger())
	v := newVerifier(f)
	defer v.retire()
	defer f.close()
	r := &run{cfg: &cfg, name: name, models: models, fleet: f, verifier: v, rng: rand.New(rand.NewPCG(cfg.Seed, 1<<63))}
	return r.run(ctx)
}

// run is the life of one Run. Everything here happens on one goroutine.
type run struct {
	cfg      *Config
	name     string
	models   []model
	fleet    *fleet
	verifier *verifier
	rng      *rand.Rand

	phase   Phase
	started time.Time // zero until the ramp-up
	shown   time.Time // the last progress
	command time.Time // when the next command is due
	booted  int
}

func (r *run) run(ctx context.Context) (*Report, error) {
	r.enter(Probing)
	if err := r.verifier.probe(ctx); err != nil {
		return nil, err
	}
	r.started = time.Now()
	r.command = r.started
	defer r.fleet.retire()

	r.enter(RampUp)
	err := r.until(ctx, r.started.Add(r.cfg.RampUp), r.bootDue)
	r.enter(Running)
	if err == nil {
		r.bootDue(time.Now())
		err = r.until(ctx, time.Now().Add(r.cfg.Duration), r.commandDue)
	}
	seconds := time.Since(r.started).Seconds()
	r.fleet.rest()
	begin := time.Now()
	r.enter(Settling)
	if err == nil {
		err = r.settle(ctx)
	}
	report := r.report(seconds, time.Since(begin))
	r.enter(Done)
	return report, err
}

// enter begins a phase and shows it.
func (r *run) enter(p Phase) {
	r.phase = p
	r.show(time.Now())
}

func (r *run) show(now time.Time) {
	r.shown = now
	s := Snapshot{Phase: r.phase, Devices: r.cfg.Devices, Connected: int(r.fleet.connected.Load())}
	if !r.started.IsZero() {
		s.Elapsed = now.Sub(r.started)
	}
	_, s.Total = r.sums()
	s.Waiting = s.Total.Unsent
	r.cfg.Progress(s)
}

// until does what is due and shows progress until end.
func (r *run) until(ctx context.Context, end time.Time, due func(now time.Time)) error {
	for {
		now := time.Now()
		if !now.Before(end) {
			return nil
		}
		due(now)
		if now.Sub(r.shown) >= progressEvery {
			r.show(now)
		}
		if !pause(ctx, min(lookEvery, end.Sub(now))) {
			return ctx.Err()
		}
	}
}

// bootDue boots as many devices as the time since the start calls for.
func (r *run) bootDue(now time.Time) {
	share := min(float64(now.Sub(r.started))/float64(r.cfg.RampUp), 1)
	for want := int(share * float64(r.cfg.Devices)); r.booted < want; r.booted++ {
		r.fleet.runners[r.booted].boot(now)
	}
}

// commandDue sends the commands that the rate calls for, at most one second's worth at once.
func (r *run) commandDue(now time.Time) {
	if r.cfg.Commands < 0 {
		return
	}
	if late := now.Add(-time.Second); r.command.Before(late) {
		r.command = late
	}
	for ; r.command.Before(now); r.command = r.command.Add(time.Duration(float64(time.Second) / r.cfg.Commands)) {
		r.verifier.command(r.rng, now)
	}
}

// settle waits until everything is acknowledged and has arrived, or the time for it is over.
func (r *run) settle(ctx context.Context) error {
	end := time.Now().Add(r.cfg.Settle)
	arrivals, since := r.verifier.arrivals.Load(), time.Now()
	for now := time.Now(); now.Before(end); now = time.Now() {
		if n := r.verifier.arrivals.Load(); n != arrivals {
			arrivals, since = n, now
		}
		_, total := r.sums()
		if total.settled() && (total.LostQoS0 == 0 || now.Sub(since) >= quietTime) {
			return nil
		}
		if now.Sub(r.shown) >= progressEvery {
			r.show(now)
		}
		if !pause(ctx, settleLook) {
			return ctx.Err()
		}
	}
	return nil
}

// sums adds the ledger and the outboxes up, by row and in all.
func (r *run) sums() (map[string]Tally, Tally) {
	rows := r.fleet.ledger.tallies()
	r.fleet.outboxes(rows)
	var total Tally
	for _, t := range rows {
		total.add(t)
	}
	return rows, total
}

func (r *run) report(seconds float64, settling time.Duration) *Report {
	rows, total := r.sums()
	total.Latency = r.fleet.ledger.overall()
	report := &Report{
		Run: r.name, Started: r.started, Seconds: seconds, Brokers: r.cfg.Brokers, Devices: r.cfg.Devices,
		Commands: Row{commandsRow, rows[commandsRow]}, Total: total,
		Reconnects: r.fleet.reconnects.Load(), SessionsLost: r.fleet.sessionsLost.Load(), Stray: r.fleet.ledger.strays(),
		Settled: total.settled(), SettleSeconds: settling.Seconds(),
	}
	for _, m := range r.models {
		if t := rows[m.name]; t.Devices > 0 {
			report.Models = append(report.Models, Row{m.name, t})
		}
	}
	v := r.verifier
	v.mu.Lock()
	defer v.mu.Unlock()
	report.CommandsSent, report.CommandsAnswered = v.sent, v.answered
	return report
}
