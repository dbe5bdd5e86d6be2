package matrix

import (
	"fmt"
	"strings"

	"mangrove/internal/bench"
)

// Case is one row of the report.
type Case struct {
	Name    string
	Args    []string // of mangrove bench
	Durable bool     // brokers keep their state on disk
	Spread  bool     // broker and generator use all cores
	Full    bool     // left out of the quick form

	Target float64 // of the group's first figure, × the reference's; 0 = none
	Goal   string  // another target, in words
	Met    func(ours, reference *bench.Result) bool
}

// command is what to retype.
func (c *Case) command() string { return "mangrove bench " + strings.Join(c.Args, " ") }

// Figure is one number of a result.
type Figure struct {
	Name  string
	Value func(*bench.Result) float64
	Print string // format of it
}

// Group is one table of the report. Its first figure is the one that is compared.
type Group struct {
	Title   string
	Note    string
	Figures []Figure
	Cases   []Case
}

// Figures of reports.
var (
	cpu       = Figure{"CPU µs/msg", func(r *bench.Result) float64 { return r.CPUPerMillion }, "%.2f"}
	rate      = Figure{"msgs/s", func(r *bench.Result) float64 { return r.Rate }, "%.0f"}
	p50       = Figure{"p50 ms", func(r *bench.Result) float64 { return ms(r.Latency).P50 }, "%.2f"}
	p99       = Figure{"p99 ms", func(r *bench.Result) float64 { return ms(r.Latency).P99 }, "%.2f"}
	p999      = Figure{"p99.9 ms", func(r *bench.Result) float64 { return ms(r.Latency).P999 }, "%.2f"}
	ackP99    = Figure{"ack p99 ms", func(r *bench.Result) float64 { return ms(r.AckLatency).P99 }, "%.2f"}
	written   = Figure{"device B/msg", func(r *bench.Result) float64 { return r.Written }, "%.0f"}
	drain     = Figure{"drained/s", func(r *bench.Result) float64 { return r.DrainRate }, "%.0f"}
	stored    = Figure{"stored/s", func(r *bench.Result) float64 { return r.StoreRate }, "%.0f"}
	peak      = Figure{"peak MiB", func(r *bench.Result) float64 { return float64(r.PeakRSS) / (1 << 20) }, "%.0f"}
	perConn   = Figure{"KiB/connection", func(r *bench.Result) float64 { return r.BytesPerConnection / 1024 }, "%.2f"}
	connects  = Figure{"connects/s", func(r *bench.Result) float64 { return r.ConnectsPerSecond }, "%.0f"}
	idle      = Figure{"idle MiB", func(r *bench.Result) float64 { return float64(r.IdleRSS) / (1 << 20) }, "%.1f"}
	generator = Figure{"generator µs/msg", func(r *bench.Result) float64 { return r.GeneratorCPU }, "%.2f"}
)

func ms(p *bench.Percentiles) bench.Percentiles {
	if p == nil {
		return bench.Percentiles{}
	}
	return bench.Percentiles{P50: p.P50 / 1000, P99: p.P99 / 1000, P999: p.P999 / 1000, Max: p.Max / 1000}
}

func groups() []Group {
	return []Group{saturated(), unbatched(), durable(), backlog(), memory()}
}

func saturated() Group {
	g := Group{
		Title:   "Saturated",
		Note:    "Broker CPU for one delivered message. Each publisher has 32 messages under way.",
		Figures: []Figure{cpu, rate, p99, generator},
	}
	for qos, target := range []float64{0.20, 0.13, 0.11} {
		for _, size := range []int{64, 1024} {
			for _, pairs := range []int{10, 100} {
				g.Cases = append(g.Cases, Case{
					Name:   fmt.Sprintf("p2p QoS %d, %d B, %d pairs", qos, size, pairs),
					Args:   args("p2p -n %d -q %d --payload %d", pairs, qos, size),
					Target: target,
				})
			}
		}
	}
	g.Cases = append(g.Cases,
		Case{Name: "fan-out 1 → 1,000, QoS 0", Args: args("fanout -n 1000"), Target: 0.25},
		Case{Name: "fan-in 1,000 → 1, QoS 0", Args: args("fanin -n 1000"), Target: 0.30},
		Case{Name: "fan-in 1,000 → 1, QoS 0, window 4", Args: args("fanin -n 1000 -w 4")},
		Case{Name: "50,000 filters with + and #, QoS 0", Args: args("wild -n 50000"), Target: 1.2},
		Case{Name: "50,000 retained fetched, QoS 0", Args: args("retained -n 50000"), Target: 0.30},
		Case{Name: "p2p QoS 0, 64 B, 100 pairs, all cores", Args: args("p2p -n 100 -q 0"), Spread: true, Full: true},
		Case{Name: "p2p QoS 1, 64 B, 100 pairs, all cores", Args: args("p2p -n 100 -q 1"), Spread: true, Full: true},
	)
	return g
}

func unbatched() Group {
	g := Group{
		Title: "One at a time, and at a fixed rate",
		Note: "With a window of 1 nothing can be batched. At a fixed rate latency counts from the time a message was due. " +
			"Mosquitto leaves Nagle's algorithm on unless told otherwise (set_tcp_nodelay): at a fixed rate it gathers messages of QoS 0 for some " +
			"milliseconds, which spares it CPU and shows in its latency.",
		Figures: []Figure{cpu, rate, p50, p99, p999},
	}
	noLater := func(ours, reference *bench.Result) bool { return p99.Value(ours) <= p99.Value(reference) }
	for qos := range 2 {
		g.Cases = append(g.Cases, Case{Name: fmt.Sprintf("window 1, QoS %d, 10 pairs", qos), Args: args("p2p -n 10 -q %d -w 1", qos),
			Target: 1.5, Goal: "p99 no later", Met: noLater})
	}
	for qos := range 2 {
		g.Cases = append(g.Cases, Case{Name: fmt.Sprintf("10,000 msgs/s, QoS %d, 10 pairs", qos), Args: args("p2p -n 10 -q %d --rate 10000", qos), Target: 1.5})
	}
	g.Cases = append(g.Cases, Case{Name: "20,000 msgs/s, QoS 1, 100 pairs", Args: args("p2p -n 100 -q 1 --rate 20000"), Goal: "p99 ≤ 5 ms, p99.9 ≤ 20 ms",
		Met: func(ours, _ *bench.Result) bool { return p99.Value(ours) <= 5 && p999.Value(ours) <= 20 }})
	return g
}

func durable() Group {
	g := Group{
		Title: "Durable",
		Note: "Acknowledged QoS 1 messages of 256 bytes to a durable session that is away, then drained. Mangrove has each on stable storage before " +
			"it acknowledges; Mosquitto writes its database when it stops, or every half an hour, and loses what came since when it is killed.",
		Figures: []Figure{rate, cpu, ackP99, written, drain, peak},
	}
	for _, n := range []int{1, 10, 100} {
		g.Cases = append(g.Cases, Case{Name: publishers(n), Args: args("durable -n %d --payload 256", n), Durable: true})
	}
	last := &g.Cases[len(g.Cases)-1]
	last.Goal, last.Met = "≥ 20,000 msgs/s", func(ours, _ *bench.Result) bool { return ours.Rate >= 20_000 }
	g.Cases = append(g.Cases, Case{Name: "1 publisher that waits", Args: args("durable -n 1 -w 1 --payload 256"), Durable: true})
	for _, n := range []int{1, 10, 1000} {
		c := Case{Name: fmt.Sprintf("%d msgs/s", n), Args: args("durable -n 10 --payload 256 --rate %d", n), Durable: true, Full: n < 1000}
		if n == 1000 {
			c.Goal, c.Met = "≤ 1,024 device B/msg", func(ours, _ *bench.Result) bool { return ours.Written <= 1024 }
		}
		g.Cases = append(g.Cases, c)
	}
	return g
}

func publishers(n int) string {
	if n == 1 {
		return "1 publisher"
	}
	return fmt.Sprintf("%d publishers", n)
}

func backlog() Group {
	return Group{
		Title:   "Backlog",
		Note:    "A backlog of QoS 1 messages, stored while the sessions are away and drained when they come back. CPU is that of draining.",
		Figures: []Figure{rate, cpu, stored, written, peak},
		Cases: []Case{
			{Name: "100,000 messages, 1 session", Args: args("offline -n 100000 --payload 256"), Durable: true},
			{Name: "100 messages, 1,000 sessions", Args: args("offline -n 100 --sessions 1000 --payload 256 --publishers 1"), Durable: true},
		},
	}
}

func memory() Group {
	return Group{
		Title:   "Memory",
		Note:    "Idle MQTT 3.1.1 connections without TLS.",
		Figures: []Figure{perConn, connects, idle},
		Cases: []Case{{Name: "15,000 connections", Args: args("conns -n 15000"), Goal: "≤ 6 KiB, idle ≤ 20 MiB",
			Met: func(ours, _ *bench.Result) bool { return perConn.Value(ours) <= 6 && idle.Value(ours) <= 20 }}},
	}
}

func args(format string, values ...any) []string {
	return strings.Fields(fmt.Sprintf(format, values...))
}
