package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/cli"
	"mangrove/cmd/internal/demo"
)

func newDemoCommand() *cobra.Command {
	cfg := demo.Config{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole system on this machine: cores, edges, devices, faults, and a report",
		Long: `Run a whole system on this machine: cores that find each other by gossip, edges linked to them, and a
simulated device fleet at the edges. Every node is a process of its own on loopback, with its data in a
temporary folder.

While the fleet runs, one edge's uplink is cut for some seconds and one edge is killed with kill -9 and started
again. A verifier listens to each edge's devices at the next edge and reports at the end what was published,
acknowledged and received. When the devices rest, an old image of an edge is put back, and what it
publishes then is counted as well. It needs no root, and cleans up after itself.

Exit codes:
  0    no acknowledged message was lost
  1    one was, or a node failed; logs and data are kept and their folder is printed
  2    flags that cannot be
  130  interrupted`,
		Example: `  mangrove demo
  mangrove demo --keep                                     # leave it running afterwards, to play with
  mangrove demo --cores 3 --edges 5 --devices 1000 --duration 2m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, cfg) },
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Cores, "cores", 2, "core nodes")
	f.IntVar(&cfg.Edges, "edges", 3, "edge nodes")
	f.IntVar(&cfg.Devices, "devices", 150, "simulated devices in all")
	f.DurationVar(&cfg.Duration, "duration", 30*time.Second, "how long devices measure; the faults are spread over it")
	f.BoolVar(&cfg.Keep, "keep", false, "leave everything running after the report, until Ctrl-C")
	f.Uint64Var(&cfg.Seed, "seed", 0, "seed of the devices' behaviour (default random)")
	return cmd
}

func runDemo(cmd *cobra.Command, cfg demo.Config) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find my own binary: %w", err)
	}
	cfg.Binary = binary
	cfg.Screen = demo.NewScreen(cmd.OutOrStdout(), isTerminal(os.Stdout))
	if err := cfg.Check(); err != nil {
		return cli.WithCode(cli.ExitUsage, err)
	}
	err = demo.Run(ctx, cfg)
	if errors.Is(err, context.Canceled) {
		return cli.WithCode(exitInterrupted, errors.New("interrupted"))
	}
	return err
}
