package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mangrove/cmd/internal/cli"
	"mangrove/internal/bench"
	"mangrove/mqtt/packet"
)

const benchLong = `Measure any MQTT broker with a load generator that costs far less than the broker.

Every message carries its stream and its number in it, so lost, duplicated and reordered are exact. With
--window a publisher goes on when a message is delivered and acknowledged: that finds out how fast the broker
is. With --rate messages are due at fixed times, and latency counts from then, so a broker that stalls cannot hide it.

With --pid the broker's CPU seconds for a million messages and its memory are measured. For figures that can be
compared, give the broker one core and the generator another:

  taskset -c 0 mosquitto &
  taskset -c 1 mangrove bench p2p --pid $(pidof mosquitto)

Exit codes:
  0    measured, and every message arrived as MQTT promises
  1    the run failed, or messages of QoS 1 or 2 were lost, of QoS 2 duplicated, or any came out of order
  2    flags that cannot be
  130  interrupted`

// benchExamples teach each scenario.
var benchExamples = map[string]string{
	"p2p": `  mangrove bench p2p                                 # 10 pairs, QoS 0, 64 bytes, as fast as it goes
  mangrove bench p2p -n 100 -q 1 --payload 1024 --pid $(pidof mosquitto)
  mangrove bench p2p -n 100 -q 1 --rate 20000        # latency at 20,000 messages a second
  mangrove bench p2p -q 2 --window 1 --mqtt 5 --json # no batching possible`,
	"fanout": `  mangrove bench fanout -n 1000
  mangrove bench fanout -n 100 -q 1 --rate 50`,
	"fanin": `  mangrove bench fanin -n 1000 --window 4`,
	"wild": `  mangrove bench wild -n 50000
  mangrove bench wild -n 1000000 --publishers 100`,
	"match": `  mangrove bench match -n 100000
  mangrove bench match -n 10                         # only those that match`,
	"churn": `  mangrove bench churn -n 1000000 --pid $(pidof mangrove)`,
	"conns": `  mangrove bench conns -n 15000 --pid $(pidof mangrove)
  mangrove bench conns -n 5000 --tls -b 127.0.0.1:8883`,
	"sleep":    `  mangrove bench sleep -n 100000 --pid $(pidof mangrove)`,
	"storm":    `  mangrove bench storm -n 15000 --pid $(pidof mangrove)`,
	"wills":    `  mangrove bench wills -n 1000 -q 1`,
	"retained": `  mangrove bench retained -n 50000 --pid $(pidof mangrove)`,
	"offline": `  mangrove bench offline -n 100000 -q 1
  mangrove bench offline -n 1000 --sessions 1000 -q 1   # fan-out to sessions that are away`,
	"durable": `  mangrove bench durable -n 1 -q 1 --window 1       # one publisher that waits for each acknowledgement
  mangrove bench durable -n 100 -q 1 --payload 256`,
}

type benchFlags struct {
	bench.Config
	version     string
	perProcess  int  // connections of one process
	hold        bool // be one of several processes: see benchShare
	json, quiet bool
}

func newBenchCommand() *cobra.Command {
	cmd := cli.Group(&cobra.Command{
		Use:   "bench",
		Short: "Measure any MQTT broker: messages per second, latency, CPU, memory, losses",
		Long:  benchLong,
		Example: `  mangrove bench p2p -n 10 -q 1                             # 10 publishers to 10 subscribers
  mangrove bench p2p -n 100 -q 1 --rate 20000 --pid 4711    # latency and CPU at a fixed rate
  mangrove bench conns -n 10000 --pid 4711                  # memory of an idle connection
  mangrove bench durable -n 100 -q 1 --json                 # acknowledged messages to a session that is away
  mangrove bench matrix --form quick                        # this machine's brokers side by side
  mangrove bench soak --duration 10m                        # does an edge grow under load?`,
	})
	for _, s := range bench.Scenarios() {
		cmd.AddCommand(newScenarioCommand(s))
	}
	cmd.AddCommand(newMatrixCommand(), newSoakCommand())
	return cmd
}

func newScenarioCommand(s bench.Scenario) *cobra.Command {
	f := benchFlags{}
	f.Scenario = s.Name
	cmd := &cobra.Command{
		Use:     s.Name,
		Short:   s.Short,
		Example: benchExamples[s.Name],
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBench(cmd, f) },
	}
	f.bind(cmd.Flags(), s)
	return cmd
}

// bind offers what the scenario heeds.
func (f *benchFlags) bind(set *pflag.FlagSet, s bench.Scenario) {
	set.StringVarP(&f.Broker, "broker", "b", bench.DefaultBroker, "the broker, as HOST:PORT")
	set.IntVarP(&f.Count, "count", "n", s.Usual, s.Count)
	set.StringVar(&f.version, "mqtt", "3.1.1", "version of MQTT: 3.1.1 or 5")
	set.IntVar(&f.PID, "pid", 0, "process of the broker, to measure its CPU and memory")
	set.StringVarP(&f.Username, "username", "u", "", "user name of every client")
	set.StringVarP(&f.Password, "password", "P", "", "password of every client")
	set.BoolVar(&f.json, "json", false, "print the result as JSON")
	set.BoolVar(&f.quiet, "quiet", false, "no progress on standard error")
	one := func(names ...string) bool { return slices.Contains(names, s.Name) }
	if one("conns") {
		set.BoolVar(&f.TLS, "tls", false, "connect with TLS and take any certificate")
		set.IntVar(&f.perProcess, "per-process", 0, "connections of one process; above, several are started (default what the open-files limit allows)")
		set.IntVar(&f.First, "first", 0, "where the source addresses begin")
		set.BoolVar(&f.hold, "hold", false, "say \"connected\", and close when standard input ends")
		set.Lookup("first").Hidden, set.Lookup("hold").Hidden = true, true
		return
	}
	qos := uint8(0)
	if one("offline", "durable") {
		qos = 1
		set.IntVar(&f.Sessions, "sessions", bench.DefaultSessions, "sessions that are away")
	}
	if one("offline", "wild") {
		set.IntVar(&f.Publishers, "publishers", bench.DefaultPublishers, "publishers")
	}
	if one("offline", "sleep") {
		set.BoolVar(&f.Keep, "keep", false, "leave sessions and messages at the broker")
	}
	if one("sleep") {
		set.DurationVar(&f.Rest, "rest", bench.ConnsRest, "how long after the last session memory is looked at")
	}
	if one("p2p") {
		set.IntVar(&f.Deaf, "deaf", 0, "subscribers to everything that never read")
	}
	if !one("churn") {
		set.Uint8VarP(&f.QoS, "qos", "q", qos, "QoS of publishing and subscribing")
	}
	if !one("churn", "sleep", "storm") {
		set.IntVar(&f.Payload, "payload", bench.DefaultPayload, "bytes of a message")
		set.DurationVar(&f.Settle, "settle", bench.DefaultSettle, "how long without progress until what is missing is lost")
	}
	if one("sleep", "storm", "wills") {
		return
	}
	set.IntVarP(&f.Window, "window", "w", 0, fmt.Sprintf("messages a publisher may have under way (default %d, with --rate %d)", bench.DefaultWindow, bench.DefaultOpenWindow))
	if !one("offline") {
		set.DurationVarP(&f.Duration, "duration", "d", bench.DefaultDuration, "how long to measure")
		set.DurationVar(&f.WarmUp, "warm-up", bench.DefaultWarmUp, "how long to run before")
	}
	if !one("offline", "retained", "churn") {
		set.Float64Var(&f.Rate, "rate", 0, "messages a second of all publishers, at fixed times (default as fast as it goes)")
	}
}

func runBench(cmd *cobra.Command, f benchFlags) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := f.complete(cmd); err != nil {
		return cli.WithCode(cli.ExitUsage, err)
	}
	result, err := f.run(ctx, cmd)
	switch {
	case errors.Is(err, context.Canceled):
		return cli.WithCode(exitInterrupted, errors.New("interrupted"))
	case err != nil:
		return err
	}
	if f.hold {
		return nil
	}
	if err := f.print(cmd.OutOrStdout(), result); err != nil {
		return err
	}
	if broken := result.Broken(); broken != "" {
		return errors.New("messages " + broken)
	}
	return nil
}

func (f *benchFlags) complete(cmd *cobra.Command) error {
	switch f.version {
	case "3.1.1", "311", "4":
		f.Version = packet.V311
	case "5", "5.0":
		f.Version = packet.V5
	default:
		return fmt.Errorf("--mqtt: found %q, want 3.1.1 or 5", f.version)
	}
	if w := cmd.Flags().Lookup("warm-up"); w != nil && f.WarmUp == 0 {
		f.WarmUp = -1
	}
	if !f.quiet {
		f.Progress = func(p bench.Progress) { showBench(cmd.ErrOrStderr(), p) }
	}
	once := f.Config
	if f.Scenario == "conns" {
		once.Count = min(once.Count, 1) // several processes share them
	}
	return once.Check()
}

func (f *benchFlags) run(ctx context.Context, cmd *cobra.Command) (*bench.Result, error) {
	if f.Scenario != "conns" || f.TLS {
		return bench.Run(ctx, f.Config)
	}
	if f.perProcess == 0 {
		most, err := bench.MaxSockets()
		if err != nil {
			return nil, err
		}
		f.perProcess = most
	}
	switch {
	case f.hold:
		return holdConns(ctx, f.Config, cmd.InOrStdin(), cmd.OutOrStdout())
	case f.Count > f.perProcess:
		return shareConns(ctx, f)
	}
	return bench.Run(ctx, f.Config)
}

func showBench(w io.Writer, p bench.Progress) {
	fmt.Fprintf(w, "%4.0fs  %-12s %10.0f/s  %12d delivered  p50 %v  p99 %v\n", p.Elapsed.Seconds(), p.Phase, p.Rate, p.Delivered, p.P50, p.P99)
}

func (f *benchFlags) print(w io.Writer, r *bench.Result) error {
	if !f.json {
		return r.WriteText(w)
	}
	out, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", out)
	return err
}
