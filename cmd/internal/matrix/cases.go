package matrix

import (
	"fmt"
	"strings"
	"time"

	"mangrove/internal/bench"
)

// Case is one row of the report.
type Case struct {
	Name string
	Args []string // of mangrove bench

	Durable bool // brokers keep their state on disk
	TLS     bool // clients connect with TLS
	Usual   bool // queues have the bounds that brokers come with
	Metrics bool // Mangrove shows its metrics
	Spread  bool // broker and generator use all cores
	Shared  bool // broker and generator share one core
	Many    bool // so many messages are kept that not every broker can
	Restart bool // the broker is stopped afterwards and started again with what it has

	Full  bool          // left out of the quick form
	Wide  bool          // all brokers are measured in the quick form too
	Alone bool          // Mangrove only
	Once  bool          // one round is enough: it counts, or takes long
	Least time.Duration // to measure, in the full form; 0 = as all

	Target float64 // of the group's first figure, × the reference's; 0 = none
	Goal   string  // another target, in words
	Met    func(m *Measured) bool
}

// Measured is what a goal is checked on.
type Measured struct {
	Ours, Reference *Round                   // empty when there is none
	Row             func(name string) *Round // ours of another row of the report; empty when there is none
}

// Round is one measurement.
type Round struct {
	bench.Result
	Restarted Restarted // of the cases that restart
}

// Restarted is what a broker was like when it was stopped and started again.
type Restarted struct {
	Seconds float64 // from its start until it accepted a client
	Disk    int64   // bytes of its folder in between
	Empty   bench.Usage
	Full    bench.Usage
}

// command is what to retype.
func (c *Case) command() string { return "mangrove bench " + strings.Join(c.Args, " ") }

// Figure is one number of a result.
type Figure struct {
	Name  string
	Value func(*Round) float64
	Print string // format of it
	Zero  bool   // 0 is a figure too, not one that there is not
}

// Group is one part of the report. The first of Figures is the one that is compared; each of More is a table of its own.
type Group struct {
	Title   string
	Note    string
	Figures []Figure
	More    [][]Figure
	Cases   []Case
}

// Figures of reports.
var (
	cpu          = Figure{Name: "CPU µs/msg", Value: func(r *Round) float64 { return r.CPUPerMillion }, Print: "%.2f"}
	rate         = Figure{Name: "msgs/s", Value: func(r *Round) float64 { return r.Rate }, Print: "%.0f"}
	p50          = Figure{Name: "p50 ms", Value: func(r *Round) float64 { return ms(r.Latency).P50 }, Print: "%.2f"}
	p99          = Figure{Name: "p99 ms", Value: func(r *Round) float64 { return ms(r.Latency).P99 }, Print: "%.2f"}
	p999         = Figure{Name: "p99.9 ms", Value: func(r *Round) float64 { return ms(r.Latency).P999 }, Print: "%.2f"}
	ackP99       = Figure{Name: "ack p99 ms", Value: func(r *Round) float64 { return ms(r.AckLatency).P99 }, Print: "%.2f"}
	written      = Figure{Name: "device B/msg", Value: func(r *Round) float64 { return r.Written }, Print: "%.0f"}
	drain        = Figure{Name: "drained/s", Value: func(r *Round) float64 { return r.DrainRate }, Print: "%.0f"}
	stored       = Figure{Name: "stored/s", Value: func(r *Round) float64 { return r.StoreRate }, Print: "%.0f"}
	peak         = Figure{Name: "peak MiB", Value: func(r *Round) float64 { return mib(r.PeakRSS) }, Print: "%.0f"}
	bytesEach    = Figure{Name: "B/each", Value: func(r *Round) float64 { return r.BytesPerConnection + r.BytesPerSession }, Print: "%.0f"}
	connects     = Figure{Name: "connects/s", Value: func(r *Round) float64 { return r.ConnectsPerSecond }, Print: "%.0f"}
	idle         = Figure{Name: "idle MiB", Value: func(r *Round) float64 { return mib(r.IdleRSS) }, Print: "%.1f"}
	perSub       = Figure{Name: "B/subscription", Value: func(r *Round) float64 { return r.BytesPerSubscription }, Print: "%.0f"}
	seconds      = Figure{Name: "seconds", Value: func(r *Round) float64 { return r.Seconds }, Print: "%.2f"}
	refused      = Figure{Name: "refused", Value: func(r *Round) float64 { return float64(r.Refused) }, Print: "%.0f", Zero: true}
	storeWritten = Figure{Name: "stored device B/msg", Value: func(r *Round) float64 { return r.StoreWritten }, Print: "%.0f"}
	startSeconds = Figure{Name: "start s", Value: func(r *Round) float64 { return r.Restarted.Seconds }, Print: "%.2f"}
	moreAnon     = Figure{Name: "more RssAnon MiB", Value: func(r *Round) float64 { return mib(r.Restarted.Full.Anon - r.Restarted.Empty.Anon) }, Print: "%.1f"}
	moreFile     = Figure{Name: "more RssFile MiB", Value: func(r *Round) float64 { return mib(r.Restarted.Full.File - r.Restarted.Empty.File) }, Print: "%.1f"}
	disk         = Figure{Name: "disk MiB", Value: func(r *Round) float64 { return mib(r.Restarted.Disk) }, Print: "%.0f"}
	diskEach     = Figure{Name: "disk B/item", Value: func(r *Round) float64 { return float64(r.Restarted.Disk) / float64(max(1, r.Messages)) }, Print: "%.0f"}
	anonEach     = Figure{Name: "RssAnon B/item", Value: func(r *Round) float64 { return moreAnon.Value(r) * (1 << 20) / float64(max(1, r.Messages)) }, Print: "%.0f"}
)

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func ms(p *bench.Percentiles) bench.Percentiles {
	if p == nil {
		return bench.Percentiles{}
	}
	return bench.Percentiles{P50: p.P50 / 1000, P99: p.P99 / 1000, P999: p.P999 / 1000, Max: p.Max / 1000}
}

func groups() []Group {
	return []Group{saturated(), unbatched(), cores2(), growth(), storm(), durable(), backlog(), restart(), memory()}
}

func saturated() Group {
	g := Group{
		Title:   "Saturated",
		Note:    "Broker CPU for one delivered message. Each publisher has 32 messages under way.",
		Figures: []Figure{cpu},
		More:    [][]Figure{{rate, p99}},
	}
	for qos, target := range []float64{0.20, 0.13, 0.11} {
		for _, size := range []int{64, 1024} {
			for _, pairs := range []int{10, 100} {
				g.Cases = append(g.Cases, Case{
					Name:   pairsName(qos, size, pairs),
					Args:   args("p2p -n %d -q %d --payload %d", pairs, qos, size),
					Wide:   size == 64 && pairs == 10,
					Target: target,
				})
			}
		}
	}
	g.Cases = append(g.Cases,
		Case{Name: "fan-out 1 → 1,000, QoS 0", Args: args("fanout -n 1000"), Wide: true, Target: 0.25},
		Case{Name: "fan-in 1,000 → 1, QoS 0", Args: args("fanin -n 1000"), Wide: true, Target: 0.30},
		Case{Name: "fan-in 1,000 → 1, QoS 0, window 4", Args: args("fanin -n 1000 -w 4")},
		Case{Name: "50,000 filters with + and #, QoS 0", Args: args("wild -n 50000"), Target: 1.2},
		Case{Name: "50,000 retained fetched, QoS 0", Args: args("retained -n 50000"), Target: 0.30},
	)
	return g
}

func pairsName(qos, size, pairs int) string {
	return fmt.Sprintf("p2p QoS %d, %d B, %d pairs", qos, size, pairs)
}

// pacedName is the case that a deaf subscriber is added to.
const pacedName = "20,000 msgs/s, QoS 1, 100 pairs"

func unbatched() Group {
	g := Group{
		Title: "One at a time, and at a fixed rate",
		Note: "With a window of 1 nothing can be batched. At a fixed rate latency counts from the time a message was due. " +
			"Mosquitto leaves Nagle's algorithm on unless told otherwise (set_tcp_nodelay): at a fixed rate it gathers messages of QoS 0 for some " +
			"milliseconds, which spares it CPU and shows in its latency. A deaf subscriber asks for everything and never reads; queues have the " +
			"bounds that brokers come with.",
		Figures: []Figure{cpu},
		More:    [][]Figure{{p50, p99, p999}, {rate, peak}},
	}
	noLater := func(m *Measured) bool { return p99.Value(m.Ours) <= p99.Value(m.Reference) }
	for qos := range 2 {
		g.Cases = append(g.Cases, Case{Name: fmt.Sprintf("window 1, QoS %d, 10 pairs", qos), Args: args("p2p -n 10 -q %d -w 1", qos),
			Wide: true, Target: 1.5, Goal: "p99 no later", Met: noLater})
	}
	for qos := range 2 {
		g.Cases = append(g.Cases, Case{Name: fmt.Sprintf("10,000 msgs/s, QoS %d, 10 pairs", qos), Args: args("p2p -n 10 -q %d --rate 10000", qos), Target: 1.5})
	}
	g.Cases = append(g.Cases,
		Case{Name: pacedName, Args: args("p2p -n 100 -q 1 --rate 20000"), Usual: true, Goal: "p99 ≤ 5 ms, p99.9 ≤ 20 ms",
			Met: func(m *Measured) bool { return p99.Value(m.Ours) <= 5 && p999.Value(m.Ours) <= 20 }},
		Case{Name: "the same beside a deaf subscriber", Args: args("p2p -n 100 -q 1 --rate 20000 --deaf 1"), Usual: true,
			Goal: "p99 ≤ 1.25 × the row above, memory within its queue's bound",
			Met: func(m *Measured) bool {
				without := m.Row(pacedName)
				const bound = 64 << 20 // 100,000 messages, which is the usual bound of a queue
				return p99.Value(m.Ours) <= 1.25*p99.Value(without) && m.Ours.PeakRSS-without.PeakRSS <= bound
			}},
	)
	return g
}

func cores2() Group {
	g := Group{
		Title: "All cores",
		Note: "100 pairs without pinning, beside the same with all on one core: broker and load generator share what there is, so that both have what the other cores bring; the generator is one thread. " +
			"Above, where the broker had one core and the generator another, two were in use as well.",
		Figures: []Figure{rate},
		More:    [][]Figure{{cpu, p99}},
	}
	for qos := range 2 {
		name := pairsName(qos, bench.DefaultPayload, 100)
		one := name + ", one core for both"
		g.Cases = append(g.Cases,
			Case{Name: one, Args: args("p2p -n 100 -q %d", qos), Shared: true},
			Case{Name: name + ", all cores", Args: args("p2p -n 100 -q %d", qos), Spread: true,
				Goal: "grows: more than the row above", Met: func(m *Measured) bool { return m.Ours.Rate > m.Row(one).Rate }})
	}
	return g
}

func growth() Group {
	const few = "10 filters, all match"
	return Group{
		Title: "Growth",
		Note: "Many filters of which ten match each message, on topics in turn; then a SUBSCRIBE and its UNSUBSCRIBE as one message, at a broker that holds " +
			"1,000,000 subscriptions of 100 clients, which 10 clients send 32 at a time.",
		Figures: []Figure{cpu},
		More:    [][]Figure{{rate, perSub, peak}},
		Cases: []Case{
			{Name: few, Args: args("match -n 10")},
			{Name: "100,000 filters, 10 match", Args: args("match -n 100000"), Goal: "≤ 1.5 × the row above",
				Met: func(m *Measured) bool { return cpu.Value(m.Ours) <= 1.5*cpu.Value(m.Row(few)) }},
			{Name: "subscribe and unsubscribe at 1,000,000", Args: args("churn -n 1000000"), Full: true, Once: true, Goal: "< 20 µs",
				Met: func(m *Measured) bool { return cpu.Value(m.Ours) < 20 }},
		},
	}
}

func storm() Group {
	return Group{
		Title:   "Coming back",
		Note:    "Clients that come back to their sessions, with a subscription each, all at once: seconds until all are in. CPU is that of one of them.",
		Figures: []Figure{seconds},
		More:    [][]Figure{{refused, cpu, peak}},
		Cases: []Case{
			{Name: "15,000 clients reconnect", Args: args("storm -n 15000"), Durable: true, Many: true, Full: true, Once: true, Goal: "nobody refused",
				Met: func(m *Measured) bool { return m.Ours.Refused == 0 && m.Ours.Messages == 15_000 }},
		},
	}
}

func durable() Group {
	g := Group{
		Title: "Durable",
		Note: "Acknowledged QoS 1 messages of 256 bytes to a durable session that is away, then drained. Mangrove has each on stable storage before " +
			"it acknowledges; Mosquitto writes its database when it stops, or every half an hour, and loses what came since when it is killed.",
		Figures: []Figure{rate},
		More:    [][]Figure{{cpu, ackP99}, {written, drain, peak}},
	}
	for _, n := range []int{1, 10, 100} {
		g.Cases = append(g.Cases, Case{Name: publishers(n), Args: args("durable -n %d --payload 256", n), Durable: true, Wide: n == 10})
	}
	last := &g.Cases[len(g.Cases)-1]
	last.Goal, last.Met = "≥ 20,000 msgs/s", func(m *Measured) bool { return m.Ours.Rate >= 20_000 }
	g.Cases = append(g.Cases, Case{Name: "1 publisher that waits", Args: args("durable -n 1 -w 1 --payload 256"), Durable: true})
	for _, n := range []int{1, 10, 1000} {
		c := Case{Name: fmt.Sprintf("%d msgs/s", n), Args: args("durable -n %d --payload 256 --rate %d", min(n, 10), n), Durable: true}
		if n < 1000 {
			c.Full, c.Once, c.Alone, c.Least = true, true, true, 10*time.Second
		} else {
			c.Goal, c.Met = "≤ 1,024 device B/msg", func(m *Measured) bool { return m.Ours.Written <= 1024 }
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
		Title: "Backlog",
		Note: "A backlog of QoS 1 messages of 256 bytes, stored while the sessions are away and drained when they come back. A message for 1,000 sessions is stored " +
			"once and owed 1,000 times. CPU is that of draining; stored device bytes are for one published message.",
		Figures: []Figure{rate},
		More:    [][]Figure{{cpu, peak}, {stored, storeWritten}},
		Cases: []Case{
			{Name: "100,000 messages, 1 session", Args: args("offline -n 100000 --payload 256"), Durable: true, Many: true, Once: true},
			{Name: "100 messages, 1,000 sessions", Args: args("offline -n 100 --sessions 1000 --payload 256 --publishers 1"), Durable: true, Many: true, Once: true},
		},
	}
}

func restart() Group {
	return Group{
		Title: "Starting again",
		Note: "What a broker holds is made, it is stopped and started again. RSS is more than that of the same broker when it was empty; the kernel counts apart what is " +
			"its own (RssAnon) and what it has read of mapped files (RssFile), which the kernel takes back when it needs room. Disk is what its folder takes in between, with its log.",
		Figures: []Figure{startSeconds},
		More:    [][]Figure{{moreAnon, moreFile, anonEach}, {disk, diskEach}},
		Cases: []Case{
			{Name: "100,000 sessions, 1 subscription each", Args: args("sleep -n 100000 --keep"), Durable: true, Many: true, Full: true, Once: true, Restart: true,
				Goal: "< 10 s, ≤ 600 B of RssAnon each", Met: func(m *Measured) bool { return m.Ours.Restarted.Seconds < 10 && anonEach.Value(m.Ours) <= 600 }},
			{Name: "1,000,000 messages of 256 B queued", Args: args("offline -n 1000000 --payload 256 --keep"), Durable: true, Many: true, Full: true, Once: true, Restart: true,
				Goal: "< 10 s, ≤ 64 MiB more RssAnon", Met: func(m *Measured) bool { return m.Ours.Restarted.Seconds < 10 && moreAnon.Value(m.Ours) <= 64 }},
		},
	}
}

func memory() Group {
	return Group{
		Title: "Memory",
		Note: "Idle MQTT 3.1.1 connections, and sessions with one subscription whose clients are away: what the broker's resident memory grew by, three seconds after the " +
			"last of them, for each. Sessions sleep for long, so theirs is looked at 75 seconds after: by then a store has written to its database what it holds of its log.",
		Figures: []Figure{bytesEach},
		More:    [][]Figure{{connects, idle, peak}},
		Cases: []Case{
			{Name: "15,000 connections", Args: args("conns -n 15000"), Once: true, Goal: "≤ 6 KiB, idle ≤ 20 MiB",
				Met: func(m *Measured) bool { return bytesEach.Value(m.Ours) <= 6<<10 && idle.Value(m.Ours) <= 20 }},
			{Name: "3,000 connections with TLS", Args: args("conns -n 3000 --tls"), TLS: true, Once: true, Goal: "≤ 24 KiB",
				Met: func(m *Measured) bool { return bytesEach.Value(m.Ours) <= 24<<10 }},
			{Name: "100,000 sessions that sleep", Args: args("sleep -n 100000 --keep --rest 75s"), Durable: true, Many: true, Full: true, Once: true, Goal: "≤ 600 B",
				Met: func(m *Measured) bool { return bytesEach.Value(m.Ours) <= 600 }},
		},
	}
}

func args(format string, values ...any) []string {
	return strings.Fields(fmt.Sprintf(format, values...))
}
