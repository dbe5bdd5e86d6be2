package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is what one run measured.
type Result struct {
	Scenario string  `json:"scenario"`
	Broker   string  `json:"broker"`
	Version  string  `json:"mqtt"`
	QoS      byte    `json:"qos"`
	Payload  int     `json:"payload_bytes"`
	Count    int     `json:"count"` // what it counts: see Scenarios
	Window   int     `json:"window"`
	Target   float64 `json:"rate_wanted,omitempty"` // of an open loop

	Seconds   float64 `json:"seconds"`
	Published uint64  `json:"published"`
	Messages  uint64  `json:"messages"` // delivered while measured; of durable: acknowledged
	Rate      float64 `json:"messages_per_second"`

	Latency    *Percentiles `json:"latency_us,omitempty"`     // intended sending to delivery
	AckLatency *Percentiles `json:"ack_latency_us,omitempty"` // sending to the last acknowledgement

	Lost           uint64 `json:"lost"`
	Duplicated     uint64 `json:"duplicated"`
	Reordered      uint64 `json:"reordered"`
	Unacknowledged uint64 `json:"unacknowledged"`

	GeneratorCPU float64 `json:"generator_cpu_us_per_message"`
	// Of the broker, when its process id is known.
	Measured      bool    `json:"broker_measured"`
	CPU           float64 `json:"broker_cpu_seconds,omitempty"`
	CPUPerMillion float64 `json:"broker_cpu_seconds_per_million,omitempty"` // = µs per message
	PeakRSS       int64   `json:"broker_peak_rss_bytes,omitempty"`
	RSS           int64   `json:"broker_rss_bytes,omitempty"`
	Written       float64 `json:"device_bytes_per_message,omitempty"`

	ConnectsPerSecond    float64 `json:"connects_per_second,omitempty"`
	IdleRSS              int64   `json:"broker_idle_rss_bytes,omitempty"` // before the first of the connections
	BytesPerConnection   float64 `json:"broker_bytes_per_connection,omitempty"`
	Refused              uint64  `json:"refused,omitempty"` // clients of storm
	BytesPerSession      float64 `json:"broker_bytes_per_session,omitempty"`
	BytesPerSubscription float64 `json:"broker_bytes_per_subscription,omitempty"`
	DrainRate            float64 `json:"drain_messages_per_second,omitempty"`      // of durable
	StoreRate            float64 `json:"store_messages_per_second,omitempty"`      // of offline: acknowledged while the backlog grew
	StoreWritten         float64 `json:"store_device_bytes_per_message,omitempty"` // likewise
}

// Percentiles are microseconds.
type Percentiles struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

func percentiles(h *Histogram) *Percentiles {
	if h.Count() == 0 {
		return nil
	}
	us := func(q float64) float64 { return float64(h.Quantile(q)) / float64(time.Microsecond) }
	return &Percentiles{us(0.5), us(0.99), us(0.999), us(1)}
}

// Broken says what the broker did that MQTT does not allow; "" when there is nothing.
func (r *Result) Broken() string {
	var b []string
	say := func(n uint64, what string) {
		if n > 0 {
			b = append(b, fmt.Sprintf("%d %s", n, what))
		}
	}
	if r.QoS > 0 { // MQTT 5.0, section 4.3.2
		say(r.Lost, "lost")
		say(r.Unacknowledged, "never acknowledged")
	}
	if r.QoS == 2 { // MQTT 5.0, section 4.3.3
		say(r.Duplicated, "duplicated")
	}
	say(r.Reordered, "out of order") // MQTT 5.0, section 4.6.0
	return strings.Join(b, ", ")
}

// WriteText prints r for a person.
func (r *Result) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	if r.ConnectsPerSecond > 0 {
		row("scenario", "%s %d, MQTT %s", r.Scenario, r.Count, r.Version)
		row("connects", "%.0f a second, %d refused", r.ConnectsPerSecond, r.Refused)
	} else {
		row("scenario", "%s %d, MQTT %s, QoS %d, %d bytes, window %d%s", r.Scenario, r.Count, r.Version, r.QoS, r.Payload, r.Window, r.loop())
		row("messages", "%d in %.2f s: %.0f a second", r.Messages, r.Seconds, r.Rate)
	}
	r.rates(row)
	r.latencies(row)
	if r.ConnectsPerSecond == 0 {
		row("lost", "%d; duplicated %d, out of order %d, unacknowledged %d", r.Lost, r.Duplicated, r.Reordered, r.Unacknowledged)
	}
	r.spent(row)
	return t.Flush()
}

func (r *Result) loop() string {
	if r.Target > 0 {
		return fmt.Sprintf(", %.0f messages a second wanted", r.Target)
	}
	return ""
}

type rowFunc func(name, format string, args ...any)

func (r *Result) rates(row rowFunc) {
	if r.StoreRate > 0 {
		row("stored", "%.0f a second", r.StoreRate)
	}
	if r.DrainRate > 0 {
		row("drained", "%.0f a second", r.DrainRate)
	}
}

func (r *Result) latencies(row rowFunc) {
	for _, l := range []struct {
		name string
		p    *Percentiles
	}{{"latency", r.Latency}, {"ack latency", r.AckLatency}} {
		if l.p != nil {
			row(l.name, "p50 %s, p99 %s, p99.9 %s, max %s", µs(l.p.P50), µs(l.p.P99), µs(l.p.P999), µs(l.p.Max))
		}
	}
}

func (r *Result) spent(row rowFunc) {
	if r.GeneratorCPU > 0 {
		row("generator CPU", "%.2f µs a message", r.GeneratorCPU)
	}
	if !r.Measured {
		row("broker", "not measured: give its process id with --pid")
		return
	}
	if r.CPUPerMillion > 0 {
		row("broker CPU", "%.2f s for a million messages (µs a message)", r.CPUPerMillion)
	}
	for _, m := range []struct {
		of    string
		bytes float64
	}{{"connection", r.BytesPerConnection}, {"session", r.BytesPerSession}, {"subscription", r.BytesPerSubscription}} {
		if m.bytes > 0 {
			row("broker memory", "%.0f bytes a %s", m.bytes, m.of)
		}
	}
	row("broker peak RSS", "%.1f MiB", float64(r.PeakRSS)/(1<<20))
	if r.Written > 0 {
		row("broker wrote", "%.0f bytes a message to devices", r.Written)
	}
}

func µs(v float64) string { return time.Duration(v * 1000).Round(time.Microsecond).String() }
