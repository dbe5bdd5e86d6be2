package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"mangrove/internal/bench"
)

// Config of a run.
type Config struct {
	Self    string // the mangrove binary
	Version string
	Command string // that was typed, for the report
	Peers   string // folder with the brokers that were built to be compared with
	Gateway string // mangrove-edge stripped for linux/arm64, to tell its size; "" = not told
	Data    string // folder for the brokers' data; "" = the system's temporary folder
	Full    bool   // every case, longer, several rounds
	Only    string // a word in the names of the cases to run; "" = all
	Now     time.Time
	Say     func(format string, args ...any) // a line for each measurement; nil = silent
}

// form is how long to measure.
type form struct {
	rounds          int
	measure, warmUp time.Duration
}

// others is how many rounds brokers besides the reference get.
const others = 1

func (c *Config) form() form {
	if c.Full {
		return form{3, 2 * time.Second, 500 * time.Millisecond}
	}
	return form{1, time.Second, 300 * time.Millisecond}
}

// found is a peer that is there.
type found struct {
	Peer
	binary, version string
	missing         error
}

// Row is what was measured of one case.
type Row struct {
	Case
	Results map[string]*Cell // by broker
}

// Cell is one broker in one case.
type Cell struct {
	Rounds []*Round
	Lacks  string // why there is nothing
	Faults []string
}

// Table is a group with its rows.
type Table struct {
	Group
	Rows []Row
}

// Report is everything a run measured.
type Report struct {
	cfg    Config
	peers  []found
	cores  []int
	Tables []Table
}

// Run measures. Brokers that are not installed are left out and named in the report; what fails in one case is in
// the report too, and the run goes on.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	all, err := cores()
	if err != nil {
		return nil, err
	}
	r := &Report{cfg: cfg, cores: all}
	for _, p := range peers(cfg.Self, cfg.Version, cfg.Peers) {
		f := found{Peer: p}
		f.binary, f.version, f.missing = p.Find()
		r.peers = append(r.peers, f)
	}
	for _, g := range groups() {
		t := Table{Group: g}
		for _, c := range g.Cases {
			if c.Full && !cfg.Full || !containsFold(g.Title+" "+c.Name, cfg.Only) {
				continue
			}
			row, err := r.row(ctx, c)
			if err != nil {
				return nil, err
			}
			t.Rows = append(t.Rows, row)
		}
		r.Tables = append(r.Tables, t)
	}
	return r, nil
}

func (r *Report) row(ctx context.Context, c Case) (Row, error) {
	row := Row{Case: c, Results: map[string]*Cell{}}
	rounds := r.cfg.form().rounds
	if c.Once {
		rounds = 1
	}
	for round := range rounds {
		order := r.takers(&c, round)
		if round%2 == 1 {
			slices.Reverse(order) // nobody is always first
		}
		for _, p := range order {
			if row.Results[p.Name] == nil {
				row.Results[p.Name] = &Cell{}
			}
			cell := row.Results[p.Name]
			if p.Lacks != nil {
				cell.Lacks = p.Lacks(&c)
			}
			if cell.Lacks != "" {
				continue
			}
			if err := r.measure(ctx, &p, &c, cell); err != nil {
				return row, err
			}
		}
	}
	return row, nil
}

// takers are the brokers that are measured in one round of a case: ours, the reference, and in fewer rounds the others.
func (r *Report) takers(c *Case, round int) (all []found) {
	for i, p := range r.peers {
		other := i > 1 && (round >= others || !r.cfg.Full && !c.Wide)
		if p.missing == nil && (i == 0 || !c.Alone && !other) {
			all = append(all, p)
		}
	}
	return all
}

// measure runs one case against one broker. Only ctx and what this program does wrong are errors.
func (r *Report) measure(ctx context.Context, p *found, c *Case, cell *Cell) error {
	brokerCore, generatorCore := r.place(c)
	b, err := startBroker(ctx, p, r.cfg.Data, brokerCore, c)
	if err != nil {
		return err
	}
	empty, err := bench.UsageOf(b.cmd.Process.Pid)
	if err != nil {
		return errors.Join(err, b.stop(), b.remove())
	}
	round, fault := r.generate(ctx, b, c, generatorCore)
	if err := errors.Join(ctx.Err(), b.stop()); err != nil {
		return errors.Join(err, b.remove())
	}
	if c.Restart && round != nil {
		round.Restarted.Empty = empty
		if err := round.Restarted.again(ctx, b); err != nil {
			fault = err.Error()
		}
	}
	if err := b.remove(); err != nil {
		return err
	}
	if round != nil {
		cell.Rounds = append(cell.Rounds, round)
	}
	if fault != "" {
		cell.Faults = append(cell.Faults, fault)
	}
	r.say(p, c, round, fault)
	return nil
}

// again starts a broker with what it has, looks at it, and stops it.
func (s *Restarted) again(ctx context.Context, b *broker) (err error) {
	if s.Disk, err = diskUse(b.folder); err != nil {
		return err
	}
	began := time.Now()
	if err := b.start(ctx); err != nil {
		return fmt.Errorf("start it again: %w", err)
	}
	s.Seconds = time.Since(began).Seconds()
	select {
	case <-time.After(bench.ConnsRest):
	case <-ctx.Done():
	}
	s.Full, err = bench.UsageOf(b.cmd.Process.Pid)
	return errors.Join(err, ctx.Err(), b.stop())
}

// place gives the broker the first core and the generator the second, where there are two, or what the case asks for.
func (r *Report) place(c *Case) (broker, generator int) {
	switch {
	case c.Spread || len(r.cores) < 2:
		return -1, -1
	case c.Shared:
		return r.cores[0], r.cores[0]
	}
	return r.cores[0], r.cores[1]
}

// generate runs the load generator. A fault is why there is no result, or what is wrong with it.
func (r *Report) generate(ctx context.Context, b *broker, c *Case, core int) (*Round, string) {
	f := r.cfg.form()
	args := append([]string{"bench"}, c.Args...)
	args = append(args, "--broker", b.addr, "--pid", strconv.Itoa(b.cmd.Process.Pid), "--json", "--quiet")
	if timed(c.Args[0]) {
		args = append(args, "--duration", max(f.measure, c.Least).String(), "--warm-up", f.warmUp.String())
	}
	cmd := exec.CommandContext(ctx, r.cfg.Self, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := startOn(core, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	fault := ""
	if err != nil {
		fault = firstLine(stderr.Bytes(), err)
	}
	if stdout.Len() == 0 {
		return nil, fault
	}
	round := new(Round)
	if err := json.Unmarshal(stdout.Bytes(), &round.Result); err != nil {
		return nil, fmt.Sprintf("read the generator's result: %v", err)
	}
	return round, fault
}

// timed tells whether a scenario measures for a time, instead of until it is done.
func timed(scenario string) bool {
	return !slices.Contains([]string{"conns", "offline", "sleep", "storm", "wills"}, scenario)
}

func firstLine(stderr []byte, err error) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(stderr), []byte("\n"))
	if len(line) == 0 {
		return err.Error()
	}
	return string(bytes.TrimPrefix(line, []byte("mangrove: ")))
}

func (r *Report) say(p *found, c *Case, round *Round, fault string) {
	if r.cfg.Say == nil {
		return
	}
	if round == nil {
		round = new(Round)
	}
	late := max(p99.Value(round), ackP99.Value(round))
	r.cfg.Say("%-38s %-12s %10.0f/s %8.2f µs  p99 %9.2f ms  %s", c.Name, p.Name, round.Rate, round.CPUPerMillion, late, fault)
}

// Broken tells what Mangrove did wrong in any case; nil when nothing.
func (r *Report) Broken() error {
	var faults []error
	for _, t := range r.Tables {
		for _, row := range t.Rows {
			if cell := row.Results[r.peers[0].Name]; cell != nil {
				for _, f := range cell.Faults {
					faults = append(faults, fmt.Errorf("%s: %s", row.Name, f))
				}
			}
		}
	}
	return errors.Join(faults...)
}
