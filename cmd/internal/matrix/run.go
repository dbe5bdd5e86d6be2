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

func (c *Config) form() form {
	if c.Full {
		return form{3, 5 * time.Second, time.Second}
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
	Rounds []*bench.Result
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
	for _, p := range peers(cfg.Self, cfg.Version) {
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
	for round := range r.cfg.form().rounds {
		order := slices.Clone(r.peers)
		if round%2 == 1 {
			slices.Reverse(order) // nobody is always first
		}
		for _, p := range order {
			if p.missing != nil {
				continue
			}
			if row.Results[p.Name] == nil {
				row.Results[p.Name] = &Cell{}
			}
			if err := r.measure(ctx, &p, &c, row.Results[p.Name]); err != nil {
				return row, err
			}
		}
	}
	return row, nil
}

// measure runs one case against one broker. Only ctx and what this program does wrong are errors.
func (r *Report) measure(ctx context.Context, p *found, c *Case, cell *Cell) error {
	brokerCore, generatorCore := r.place(c)
	b, err := startBroker(ctx, p, r.cfg.Data, brokerCore, c.Durable)
	if err != nil {
		return err
	}
	result, fault := r.generate(ctx, b, c, generatorCore)
	if err := errors.Join(ctx.Err(), b.stop()); err != nil {
		return err
	}
	if result != nil {
		cell.Rounds = append(cell.Rounds, result)
	}
	if fault != "" {
		cell.Faults = append(cell.Faults, fault)
	}
	r.say(p, c, result, fault)
	return nil
}

// place gives the broker the first core and the generator the second, where there are two.
func (r *Report) place(c *Case) (broker, generator int) {
	if c.Spread || len(r.cores) < 2 {
		return -1, -1
	}
	return r.cores[0], r.cores[1]
}

// generate runs the load generator. A fault is why there is no result, or what is wrong with it.
func (r *Report) generate(ctx context.Context, b *broker, c *Case, core int) (*bench.Result, string) {
	f := r.cfg.form()
	args := append([]string{"bench"}, c.Args...)
	args = append(args, "--broker", b.addr, "--pid", strconv.Itoa(b.cmd.Process.Pid), "--json", "--quiet")
	if s := c.Args[0]; s != "conns" && s != "offline" {
		args = append(args, "--duration", f.measure.String(), "--warm-up", f.warmUp.String())
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
	result := new(bench.Result)
	if err := json.Unmarshal(stdout.Bytes(), result); err != nil {
		return nil, fmt.Sprintf("read the generator's result: %v", err)
	}
	return result, fault
}

func firstLine(stderr []byte, err error) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(stderr), []byte("\n"))
	if len(line) == 0 {
		return err.Error()
	}
	return string(bytes.TrimPrefix(line, []byte("mangrove: ")))
}

func (r *Report) say(p *found, c *Case, result *bench.Result, fault string) {
	if r.cfg.Say == nil {
		return
	}
	if result == nil {
		result = new(bench.Result)
	}
	late := max(p99.Value(result), ackP99.Value(result))
	r.cfg.Say("%-38s %-10s %10.0f/s %8.2f µs  p99 %9.2f ms  %s", c.Name, p.Name, result.Rate, result.CPUPerMillion, late, fault)
}

// Broken tells what Mangrove did wrong in any case; nil when nothing.
func (r *Report) Broken() error {
	var faults []error
	for _, t := range r.Tables {
		for _, row := range t.Rows {
			for _, f := range row.Results[r.peers[0].Name].Faults {
				faults = append(faults, fmt.Errorf("%s: %s", row.Name, f))
			}
		}
	}
	return errors.Join(faults...)
}
