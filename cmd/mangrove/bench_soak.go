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
	"mangrove/cmd/internal/matrix"
)

const soakLong = `Start an edge of this Mangrove with its defaults, in a folder of its own, and load it at a fixed rate with everything that
clients do: messages of QoS 0, 1 and 2, fan-out, connections, subscriptions, retained messages, wills, sessions with
backlogs, and clients that come back all at once. Memory, living heap, goroutines, open files and disk are looked at
meanwhile; none may be more in the last quarter of the time than in the second. Medians count, with some tolerance.

Exit codes:
  0    nothing grew, and every message arrived as MQTT promises
  1    something grew, or messages were lost, or it could not run
  2    flags that cannot be
  130  interrupted`

func newSoakCommand() *cobra.Command {
	var cfg matrix.SoakConfig
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Load an edge with everything for some time, and fail when it grows",
		Long:  soakLong,
		Example: `  mangrove bench soak --duration 10m
  mangrove bench soak --duration 8h --every 30s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSoak(cmd, cfg) },
	}
	f := cmd.Flags()
	f.DurationVarP(&cfg.Duration, "duration", "d", 10*time.Minute, "how long")
	f.DurationVar(&cfg.Every, "every", 5*time.Second, "how often to look")
	f.StringVar(&cfg.Data, "data", "", "folder for the edge's data (default the system's temporary folder)")
	return cmd
}

func runSoak(cmd *cobra.Command, cfg matrix.SoakConfig) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if cfg.Duration <= 0 || cfg.Every <= 0 {
		return cli.WithCode(cli.ExitUsage, errors.New("--duration and --every must be above 0"))
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find my own binary: %w", err)
	}
	cfg.Self = self
	cfg.Say = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	verdict, err := matrix.Soak(ctx, cfg)
	switch {
	case errors.Is(err, context.Canceled):
		return cli.WithCode(exitInterrupted, errors.New("interrupted"))
	case err != nil:
		return err
	}
	if err := verdict.Write(cmd.OutOrStdout()); err != nil {
		return fmt.Errorf("print verdict: %w", err)
	}
	if grew := verdict.Grew(); grew != "" {
		return fmt.Errorf("grew: %s", grew)
	}
	return nil
}
