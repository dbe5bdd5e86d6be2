package matrix

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"mangrove/internal/bench"
)

// SoakConfig of a soak.
type SoakConfig struct {
	Self     string        // the mangrove binary
	Data     string        // folder for the edge's data; "" = the system's temporary folder
	Duration time.Duration // of the load
	Every    time.Duration // between samples; 0 = 5 s
	Say      func(format string, args ...any)
}

// The load of a soak: what goes on all the time, at fixed rates, and what is done one after another, from the
// beginning in each period. The second half of the list makes and removes what brokers may forget to give back.
var (
	soakSteady = []string{
		"p2p -n 10 -q 0 --rate 300",
		"p2p -n 10 -q 1 --rate 300",
		"p2p -n 5 -q 2 --rate 100 --mqtt 5",
		"fanout -n 50 -q 1 --rate 5",
	}
	soakTurns = []string{
		"conns -n 200",
		"churn -n 2000 -w 1 -d 100ms --warm-up 0",
		"retained -n 500 -d 1ms --warm-up 0",
		"wills -n 200 -q 1",
		"offline -n 500 --sessions 10 --publishers 2",
		"offline -n 200 --sessions 5 --publishers 2 -q 2 --mqtt 5",
		"storm -n 200 -q 1",
	}
)

const (
	soakPeriod = 15 * time.Second // from the beginning of a turn to the next, when it does not take longer
	soakLeast  = 16               // samples, without which there is no verdict
)

// Sample is what an edge takes at one time.
type Sample struct{ RSS, Heap, Goroutines, Files, Disk float64 }

// Soak loads an edge for a time and says whether it grew. An error is a fault of this program or of its load: messages
// that were lost, clients that were not let in.
func Soak(ctx context.Context, cfg SoakConfig) (*Verdict, error) {
	if cfg.Every == 0 {
		cfg.Every = 5 * time.Second
	}
	if n := int(cfg.Duration / cfg.Every); n < soakLeast {
		return nil, fmt.Errorf("%v has %d samples, want at least %d: soak for longer, or look more often", cfg.Duration, n, soakLeast)
	}
	p := mangrove(cfg.Self, "")
	b, err := startBroker(ctx, &found{Peer: p, binary: cfg.Self}, cfg.Data, -1, &Case{Metrics: true})
	if err != nil {
		return nil, err
	}
	samples, err := soak(ctx, cfg, b)
	if err := errors.Join(err, b.stop(), b.remove()); err != nil {
		return nil, err
	}
	return judge(samples, cfg.Every), nil
}

// soak runs the load and takes samples meanwhile. The first fault ends all.
func soak(ctx context.Context, cfg SoakConfig, b *broker) ([]Sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var load sync.WaitGroup
	for _, line := range soakSteady {
		load.Go(func() { // ends after the duration, or with ctx
			line := line + " --warm-up 0 -d " + cfg.Duration.String()
			if err := b.load(ctx, cfg.Self, line); err != nil {
				cancel(err)
			}
		})
	}
	load.Go(func() { // ends after the duration, or with ctx
		if err := b.turns(ctx, cfg); err != nil {
			cancel(err)
		}
	})
	samples, err := b.watch(ctx, cfg)
	if err != nil {
		cancel(err)
	}
	load.Wait()
	return samples, context.Cause(ctx)
}

// turns does what is done one after another until the duration is over.
func (b *broker) turns(ctx context.Context, cfg SoakConfig) error {
	end := time.Now().Add(cfg.Duration)
	for time.Now().Before(end) && ctx.Err() == nil {
		next := time.After(soakPeriod)
		for _, line := range soakTurns {
			if err := b.load(ctx, cfg.Self, line); err != nil {
				return err
			}
		}
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
	return nil
}

// load runs one load generator to its end.
func (b *broker) load(ctx context.Context, self, line string) error {
	args := append([]string{"bench"}, strings.Fields(line)...)
	cmd := exec.CommandContext(ctx, self, append(args, "--broker", b.addr, "--quiet", "--json")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := startOn(-1, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("bench %s: %s", line, firstLine(stderr.Bytes(), err))
	}
	return nil
}

// watch takes a sample at a time until the duration is over.
func (b *broker) watch(ctx context.Context, cfg SoakConfig) (samples []Sample, err error) {
	tick := time.NewTicker(cfg.Every)
	defer tick.Stop()
	for range int(cfg.Duration / cfg.Every) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return samples, nil
		}
		s, err := b.sample(ctx)
		if err != nil {
			return samples, fmt.Errorf("look at the edge: %w", err)
		}
		samples = append(samples, s)
		if cfg.Say != nil {
			cfg.Say("%5.0f s  RSS %6.1f MiB  heap %6.1f MiB  goroutines %4.0f  open files %4.0f  disk %6.1f MiB", (time.Duration(len(samples)) * cfg.Every).Seconds(),
				s.RSS, s.Heap, s.Goroutines, s.Files, s.Disk)
		}
	}
	return samples, nil
}

func (b *broker) sample(ctx context.Context) (s Sample, err error) {
	pid := b.cmd.Process.Pid
	u, err := bench.UsageOf(pid)
	if err != nil {
		return s, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return s, err
	}
	disk, err := diskUse(b.folder)
	if err != nil {
		return s, err
	}
	m, err := gauges(ctx, b.set.metrics, "go_goroutines", "go_memstats_next_gc_bytes")
	if err != nil {
		return s, err
	}
	const living = 2 // the collector starts when there is twice what lived after the last collection
	return Sample{RSS: mib(u.RSS), Heap: mib(int64(m[1])) / living, Goroutines: m[0], Files: float64(len(files)), Disk: mib(disk)}, nil
}

// gauges reads some of the figures that a node shows.
func gauges(ctx context.Context, addr string, names ...string) ([]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	values, seen := make([]float64, len(names)), 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		for i, name := range names {
			if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				if values[i], err = strconv.ParseFloat(rest, 64); err != nil {
					return nil, err
				}
				seen++
			}
		}
	}
	if seen != len(names) {
		return nil, fmt.Errorf("%s shows not all of %v", addr, names)
	}
	return values, nil
}
