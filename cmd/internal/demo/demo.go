package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"mangrove/firmware-sim"
)

// Config is the size and the length of a demo. All fields but Keep and Seed are needed.
type Config struct {
	Binary   string // mangrove itself
	Cores    int
	Edges    int
	Devices  int
	Duration time.Duration
	Seed     uint64 // 0 = a random one
	Keep     bool   // leave everything running after the report, until ctx ends
	Screen   *Screen
}

// Bounds of a demo: it runs on one machine.
const (
	maxNodes    = 32
	minDuration = 2 * time.Second
)

// ErrLost is what Run returns when an acknowledged message did not arrive.
var ErrLost = errors.New("acknowledged messages were lost")

// Check tells what cannot be.
func (c *Config) Check() error {
	switch {
	case c.Cores < 1 || c.Edges < 1 || c.Cores+c.Edges > maxNodes:
		return fmt.Errorf("%d cores and %d edges: there must be one of each, and %d nodes at most", c.Cores, c.Edges, maxNodes)
	case c.Devices < c.Edges:
		return fmt.Errorf("%d devices on %d edges: each edge needs one", c.Devices, c.Edges)
	case c.Duration < minDuration:
		return fmt.Errorf("a duration of %v: the faults need %v", c.Duration, minDuration)
	}
	return nil
}

// Run starts the system, lets the fleet run through the faults, prints the report, and stops everything
// before it returns. The folder with data and logs is removed unless something went wrong.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.Check(); err != nil {
		return err
	}
	// The kernel ends a child with the thread that started it: all are started from this one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir, err := os.MkdirTemp("", "mangrove-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the nodes: %w", err)
	}
	s := &system{cfg: cfg, dir: dir}
	defer func() {
		err = errors.Join(err, s.stop())
		if err != nil && !errors.Is(err, context.Canceled) {
			cfg.Screen.Print(fmt.Sprintf("\nThe nodes' logs and data are in %s\n", dir))
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	return s.show(ctx)
}

// show is the demo from the first line to the last.
func (s *system) show(ctx context.Context) error {
	screen := s.cfg.Screen
	screen.Print(s.title())
	if err := s.start(ctx); err != nil {
		return err
	}
	screen.Print(s.nodeTable())
	report, err := s.runFleet(ctx)
	if err != nil {
		return err
	}
	image, err := s.putBack(ctx)
	if err != nil {
		return err
	}
	screen.Print(s.outcome(report, image))
	if s.cfg.Keep {
		screen.Print(s.invitation())
		<-ctx.Done()
		screen.Print("\nstopping\n")
	}
	if !report.OK() || !image.OK() {
		return ErrLost
	}
	return nil
}

// runFleet runs devices and verifier beside the faults, which stay on this goroutine: they start processes.
func (s *system) runFleet(ctx context.Context) (*firmwaresim.Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := newBacklog(s.nodes())
	started := make(chan struct{})
	type result struct {
		report *firmwaresim.Report
		err    error
	}
	ended := make(chan result, 1)
	go func() { // ends with the run or with ctx; waited for below
		report, err := firmwaresim.Run(ctx, s.fleet(started, watch))
		ended <- result{report, err}
	}()
	watching := make(chan struct{})
	go func() { defer close(watching); watch.run(ctx) }() // ends with ctx; waited for below
	ferr := s.faults(ctx, started)
	if ferr != nil {
		cancel(ferr)
	}
	r := <-ended
	cancel(nil)
	<-watching
	if ferr != nil && !errors.Is(ferr, context.Canceled) {
		return nil, ferr
	}
	return r.report, r.err
}

// fleet configures the devices. started is closed when the first boots.
func (s *system) fleet(started chan struct{}, watch *backlog) firmwaresim.Config {
	var brokers []string
	for _, n := range s.edges {
		brokers = append(brokers, n.ready.mqtt())
	}
	phase := firmwaresim.Phase("")
	return firmwaresim.Config{
		Brokers: brokers, Devices: s.cfg.Devices, Duration: s.cfg.Duration, Seed: s.cfg.Seed, Settle: settleTime,
		Progress: func(now firmwaresim.Snapshot) {
			s.cfg.Screen.Progress(now, watch.String())
			if now.Phase != phase {
				phase = now.Phase
				s.announce(phase, started)
			}
		},
	}
}

// settleTime is longer than the slowest reconnect of a link or a device.
const settleTime = 40 * time.Second

func (s *system) announce(phase firmwaresim.Phase, started chan struct{}) {
	switch screen := s.cfg.Screen; phase {
	case firmwaresim.Probing:
		screen.Event("waiting until every edge hears every other")
	case firmwaresim.RampUp:
		screen.Event("%d devices boot", s.cfg.Devices)
		close(started)
	case firmwaresim.Settling:
		screen.Event("devices rest; waiting for whatever is still on its way")
	}
}

// faults cuts one uplink and kills one edge, at the plan's times.
func (s *system) faults(ctx context.Context, started <-chan struct{}) error {
	select {
	case <-started:
	case <-ctx.Done():
		return ctx.Err()
	}
	p, begin, screen := newPlan(len(s.edges), s.cfg.Duration), time.Now(), s.cfg.Screen
	cutName, killName := s.edges[p.cutEdge].name, s.edges[p.killEdge].name
	steps := []struct {
		at time.Duration
		do func() error
	}{
		{p.cutAt, func() error {
			screen.Event("%s: uplink cut for %s; its devices go on, what must go up waits on disk", cutName, seconds(p.cutFor))
			s.cut(p.cutEdge)
			return nil
		}},
		{p.cutAt + p.cutFor, func() error {
			screen.Event("%s: uplink back", cutName)
			s.heal(p.cutEdge)
			return nil
		}},
		{p.killAt, func() error {
			screen.Event("%s: kill -9, to be restarted after %s", killName, seconds(p.downFor))
			return s.edges[p.killEdge].kill()
		}},
		{p.killAt + p.downFor, func() error {
			took, err := s.restart(ctx, p.killEdge)
			if err == nil {
				screen.Event("%s: restarted after %s, ready in %d ms", killName, seconds(p.downFor), took.Milliseconds())
			}
			return err
		}},
	}
	for _, step := range steps {
		if !sleep(ctx, time.Until(begin.Add(step.at))) {
			return ctx.Err()
		}
		if err := step.do(); err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *system) title() string {
	var cores, edges []string
	for i := range s.cfg.Cores {
		cores = append(cores, fmt.Sprintf("core-%d", i+1))
	}
	devices := make([]int, s.cfg.Edges)
	for i := range s.cfg.Edges {
		edges = append(edges, edgeName(i))
	}
	for i := range s.cfg.Devices {
		devices[i%s.cfg.Edges]++
	}
	return fmt.Sprintf("Mangrove demo: real processes on this machine, for %s\n\n%s\n", seconds(s.cfg.Duration), picture(cores, edges, devices))
}

// seconds writes d as people do: "5 s", "0.8 s".
func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }

func (s *system) nodeTable() string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "  node\tMQTT\tstatus page\tprocess")
	for _, n := range s.nodes() {
		fmt.Fprintf(tw, "  %s\t%s\thttp://%s\t%d\n", n.name, n.ready.mqtt(), n.ready.HTTP, n.cmd.Process.Pid)
	}
	tw.Flush() // a strings.Builder takes everything
	return b.String() + "\n"
}

// outcome is the report and the sentence that counts.
func (s *system) outcome(r *firmwaresim.Report, image *imageReport) string {
	var b strings.Builder
	b.WriteByte('\n')
	_ = r.WriteText(&b) // a strings.Builder takes everything
	fmt.Fprintln(&b, image)
	if r.OK() && image.OK() {
		b.WriteString("\nPASS: no acknowledged message was lost\n")
	} else {
		b.WriteString("\nFAIL: acknowledged messages were lost\n")
	}
	return b.String()
}

// invitation tells what to try while everything runs.
func (s *system) invitation() string {
	first, last := s.edges[0], s.edges[len(s.edges)-1]
	_, from, _ := strings.Cut(first.ready.mqtt(), ":")
	_, to, _ := strings.Cut(last.ready.mqtt(), ":")
	return fmt.Sprintf(`
Everything still runs. In other terminals, try:

  %[1]s sub -p %[2]s -t 'hello/#' -v          # listen at %[3]s
  %[1]s pub -p %[4]s -t hello/world -m hi     # speak at %[5]s
  curl http://%[6]s/api/v1/status

Logs and data are in %[7]s
Ctrl-C stops everything and removes them.
`, s.cfg.Binary, to, last.name, from, first.name, first.ready.HTTP, s.dir)
}
