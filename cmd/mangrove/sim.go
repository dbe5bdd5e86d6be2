package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/cli"
	"mangrove/cmd/internal/demo"
	"mangrove/firmware-sim"
)

const simLong = `Run a fleet of simulated devices against brokers, and prove what arrived.

Devices are small firmware state machines: they boot, connect with a persistent session and a will, publish
a retained birth message, measure at their own interval, answer commands, and reconnect with backoff. They
are spread over the brokers given; each broker is one site. A verifier listens to each site at the NEXT broker
in the list and enters every message in a ledger: published, acknowledged, received, lost, duplicated, out of
order, latency. With one broker it listens there.

Topics:  sim/<run>/<site>/<model>/<device>/telemetry, status, cmd, reply

At the end devices rest, and the run waits up to --settle for what is missing. The report goes to standard
output, progress to standard error. Nothing of the run stays at the brokers.

Exit codes:
  0    no acknowledged QoS 1 or 2 message is missing
  1    one is, or the run could not begin
  2    flags that cannot be
  130  interrupted; the report tells what was known by then`

// exitInterrupted is the shell's code for Ctrl-C.
const exitInterrupted = 130

func newSimCommand() *cobra.Command {
	var cfg firmwaresim.Config
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "sim --broker ADDR[,ADDR…] --devices N --duration D",
		Short: "Run a simulated device fleet and verify what arrives",
		Long:  simLong,
		Example: `  mangrove sim --broker 127.0.0.1:1883 --devices 100 --duration 10s
  mangrove sim --broker 127.0.0.1:1883,127.0.0.1:1884 --devices 1000 --duration 1m --rate 5
  mangrove sim --broker 127.0.0.1:1883 --devices 20 --duration 5s --models door,gps-tracker --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSim(cmd, cfg, asJSON, quiet)
		},
	}
	f := cmd.Flags()
	f.StringSliceVarP(&cfg.Brokers, "broker", "b", []string{"127.0.0.1:1883"}, "brokers, as host:port or URL; devices are spread over them")
	f.IntVarP(&cfg.Devices, "devices", "n", 100, "devices in all")
	f.DurationVarP(&cfg.Duration, "duration", "d", firmwaresim.DefaultDuration, "how long devices measure, after the ramp-up")
	f.Float64Var(&cfg.Rate, "rate", 1, "how much faster than usual devices measure")
	f.Float64Var(&cfg.Commands, "commands", 0, "commands per second to the whole fleet (default one per device and minute; negative for none)")
	f.StringSliceVar(&cfg.Models, "models", nil, "device models, of "+strings.Join(firmwaresim.Models(), ", ")+" (default all)")
	f.DurationVar(&cfg.RampUp, "ramp-up", 0, "boot the devices spread over this time (default a tenth of the duration, at most 10s)")
	f.DurationVar(&cfg.Settle, "settle", firmwaresim.DefaultSettle, "how long to wait at the end for what is missing")
	f.Uint64Var(&cfg.Seed, "seed", 0, "seed of the devices' behaviour (default random)")
	f.StringVarP(&cfg.Username, "username", "u", "", "user name of devices and verifier")
	f.StringVarP(&cfg.Password, "password", "P", "", "password of devices and verifier")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	f.BoolVar(&quiet, "quiet", false, "show no progress")
	return cmd
}

func runSim(cmd *cobra.Command, cfg firmwaresim.Config, asJSON, quiet bool) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := cfg.Check(); err != nil {
		return cli.WithCode(cli.ExitUsage, err)
	}
	screen := demo.NewScreen(cmd.ErrOrStderr(), isTerminal(os.Stderr))
	if !quiet {
		cfg.Progress = simProgress(screen)
	}
	report, err := firmwaresim.Run(ctx, cfg)
	screen.Print("")
	if report != nil {
		err = errors.Join(err, printReport(cmd, report, asJSON))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return cli.WithCode(exitInterrupted, errors.New("interrupted"))
	case err != nil:
		return err
	case !report.OK():
		return errors.New(report.Verdict())
	}
	return nil
}

// simProgress shows snapshots, and a line for each phase.
func simProgress(screen *demo.Screen) func(firmwaresim.Snapshot) {
	var phase firmwaresim.Phase
	return func(now firmwaresim.Snapshot) {
		screen.Progress(now, "")
		if now.Phase == phase {
			return
		}
		phase = now.Phase
		switch phase {
		case firmwaresim.Probing:
			screen.Event("waiting until every broker's site is heard where it is verified")
		case firmwaresim.RampUp:
			screen.Event("%d devices boot", now.Devices)
		case firmwaresim.Settling:
			screen.Event("devices rest; waiting for what is still on its way")
		}
	}
}

func printReport(cmd *cobra.Command, report *firmwaresim.Report, asJSON bool) error {
	if !asJSON {
		return report.WriteText(cmd.OutOrStdout())
	}
	out, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", out)
	return err
}

// isTerminal reports whether lines can be rewritten there.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
