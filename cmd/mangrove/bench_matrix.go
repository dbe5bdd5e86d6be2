package main

import (
	"bytes"
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

const matrixLong = `Measure a fixed list of cases against this Mangrove and, taking turns within each case, against the other brokers
that this machine has (Debian's mosquitto; nats-server and mochi-mqtt, where make bench built them), and write a report of ratios.

Every broker is started afresh for every case, on the first core, with the load generator on the second. A broker
that is missing is named in the report. Figures that look bad for Mangrove stay in.

Exit codes:
  0    measured; the report says which targets were missed
  1    it could not run, or messages did not arrive as MQTT promises
  2    flags that cannot be
  130  interrupted; no report`

func newMatrixCommand() *cobra.Command {
	var form, out string
	var cfg matrix.Config
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Measure this machine's brokers side by side and write a report",
		Long:  matrixLong,
		Example: `  mangrove bench matrix                                  # about 3 minutes, to standard output
  mangrove bench matrix --form full --out docs/benchmarks.md
  mangrove bench matrix --only 'QoS 2'                   # only cases with these words in their name`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if form != "quick" && form != "full" {
				return cli.WithCode(cli.ExitUsage, fmt.Errorf("--form: found %q, want quick or full", form))
			}
			cfg.Full, cfg.Command = form == "full", "mangrove bench matrix --form "+form
			return runMatrix(cmd, cfg, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&form, "form", "quick", "quick: each case once, for a second; full: three times, for two seconds, and what takes long")
	f.StringVarP(&out, "out", "o", "", "file to write (default standard output)")
	f.StringVar(&cfg.Only, "only", "", "words in the names of the cases to run (default all)")
	f.StringVar(&cfg.Data, "data", "", "folder for the brokers' data, on the disk to be measured (default the system's temporary folder)")
	f.StringVar(&cfg.Peers, "peers", "bin/peers", "folder with nats-server and mochi, beside what PATH has")
	f.StringVar(&cfg.Gateway, "gateway", "", "mangrove-edge for linux/arm64, to tell its size (default not told)")
	return cmd
}

func runMatrix(cmd *cobra.Command, cfg matrix.Config, out string) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find my own binary: %w", err)
	}
	cfg.Self, cfg.Version, cfg.Now = self, cli.Version(), time.Now()
	if cfg.Only != "" {
		cfg.Command += fmt.Sprintf(" --only %q", cfg.Only)
	}
	cfg.Say = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	report, err := matrix.Run(ctx, cfg)
	switch {
	case errors.Is(err, context.Canceled):
		return cli.WithCode(exitInterrupted, errors.New("interrupted"))
	case err != nil:
		return err
	}
	return errors.Join(writeReport(cmd, report, out), report.Broken())
}

func writeReport(cmd *cobra.Command, report *matrix.Report, out string) error {
	var b bytes.Buffer
	if err := report.Write(&b); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if out == "" {
		_, err := b.WriteTo(cmd.OutOrStdout())
		return err
	}
	if err := os.WriteFile(out, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
