// Package metrics counts what a node does. It is the only user of the metrics library.
//
// Each node has one Registry, handed to its parts in their Config, so that many nodes can live
// in one process. A nil *Registry counts into nothing that anybody sees.
package metrics

import (
	"fmt"
	"io"

	vm "github.com/VictoriaMetrics/metrics"
)

// Counter only rises. Inc, Add(n int) and Get are safe for concurrent use.
type Counter = vm.Counter

// Histogram takes samples in base units (seconds, bytes). Update is safe for concurrent use.
type Histogram = vm.Histogram

// Registry holds the counters of one node. Safe for concurrent use.
type Registry struct{ set *vm.Set }

// New returns an empty registry.
func New() *Registry { return &Registry{set: vm.NewSet()} }

// Counter returns the counter of that name, made on first use. The name may carry labels, as in
// `mangrove_x_total{reason="y"}`.
func (r *Registry) Counter(name string) *Counter {
	if r == nil {
		return new(Counter)
	}
	return r.set.GetOrCreateCounter(name)
}

// Gauge registers fn as the value of name. fn must be fast and safe for concurrent use. The first
// registration of a name stays.
func (r *Registry) Gauge(name string, fn func() float64) {
	if r != nil {
		r.set.GetOrCreateGauge(name, fn)
	}
}

// Histogram returns the histogram of that name, made on first use.
func (r *Registry) Histogram(name string) *Histogram {
	if r == nil {
		return new(Histogram)
	}
	return r.set.GetOrCreateHistogram(name)
}

// Dropped counts messages that were taken in and will not be delivered to somebody, by reason. Every drop in
// the node goes through here. [promise P5]
func (r *Registry) Dropped(reason string) *Counter {
	return r.Counter(fmt.Sprintf(dropped+`{reason=%q}`, reason))
}

// Write prints every metric in the Prometheus text format.
func (r *Registry) Write(w io.Writer) {
	if r != nil {
		r.set.WritePrometheus(w)
	}
}

// WriteProcess prints the process's own metrics (CPU, memory, goroutines, I/O) in the same format.
func WriteProcess(w io.Writer) { vm.WriteProcessMetrics(w) }
