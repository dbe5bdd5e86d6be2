package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"mangrove/internal/bench"
	"mangrove/mqtt/packet"
)

// connected is what a process with a share of the connections says when they are open.
const connected = "connected"

// holdConns opens this process's share, says so, and keeps it until stdin ends.
func holdConns(ctx context.Context, cfg bench.Config, stdin io.Reader, stdout io.Writer) (*bench.Result, error) {
	var over atomic.Bool
	go func() { // ends with stdin, or with the process; nobody waits for it
		io.Copy(io.Discard, stdin) // an error is an end too
		over.Store(true)
	}()
	cfg.Connected = func() error { _, err := fmt.Fprintln(stdout, connected); return err }
	cfg.Release = over.Load
	return bench.Run(ctx, cfg)
}

// share is a process with some of the connections.
type share struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// shareConns has several processes open the connections, because the open-files limit allows one process too few, and
// measures the broker itself.
func shareConns(ctx context.Context, f *benchFlags) (*bench.Result, error) {
	before, err := brokerUsage(f.PID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	shares, err := startShares(ctx, f)
	if err != nil {
		cancel()
		return nil, errors.Join(err, endShares(shares))
	}
	r := &bench.Result{Scenario: f.Scenario, Broker: f.Broker, Version: f.version, Count: f.Count, Seconds: time.Since(began).Seconds()}
	r.ConnectsPerSecond = float64(f.Count) / r.Seconds
	select {
	case <-time.After(bench.ConnsRest):
	case <-ctx.Done():
	}
	after, err := brokerUsage(f.PID)
	if f.PID != 0 {
		r.Measured, r.IdleRSS, r.RSS, r.PeakRSS = true, before.RSS, after.RSS, after.PeakRSS
		r.BytesPerConnection = float64(after.RSS-before.RSS) / float64(f.Count)
	}
	return r, errors.Join(err, endShares(shares))
}

func brokerUsage(pid int) (bench.Usage, error) {
	if pid == 0 {
		return bench.Usage{}, nil
	}
	return bench.UsageOf(pid)
}

// startShares returns when every process has its connections. With an error it returns those that were started.
func startShares(ctx context.Context, f *benchFlags) (shares []*share, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find my own binary: %w", err)
	}
	for first := 0; first < f.Count; first += f.perProcess {
		s, err := startShare(ctx, self, f, first, min(f.perProcess, f.Count-first))
		if err != nil {
			return shares, err
		}
		shares = append(shares, s)
	}
	for _, s := range shares {
		if !s.lines.Scan() || s.lines.Text() != connected {
			return shares, errors.New("a process could not open its connections")
		}
	}
	return shares, nil
}

func startShare(ctx context.Context, self string, f *benchFlags, first, n int) (*share, error) {
	version := "3.1.1"
	if f.Version == packet.V5 {
		version = "5"
	}
	s := &share{cmd: exec.CommandContext(ctx, self, "bench", "conns", "--hold", "--quiet", "--first", strconv.Itoa(first), "-n", strconv.Itoa(n),
		"--broker", f.Broker, "--mqtt", version, "--username", f.Username, "--password", f.Password)}
	s.cmd.Stderr = os.Stderr
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	s.lines = bufio.NewScanner(stdout)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	return s, nil
}

// endShares has each process ask its connections whether they are still there, and end.
func endShares(shares []*share) error {
	var faults []error
	for _, s := range shares {
		faults = append(faults, s.stdin.Close())
	}
	for _, s := range shares {
		if err := s.cmd.Wait(); err != nil {
			faults = append(faults, fmt.Errorf("a process with connections: %w", err))
		}
	}
	return errors.Join(faults...)
}
