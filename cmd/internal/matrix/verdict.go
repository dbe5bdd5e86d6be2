package matrix

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Verdict is what became of an edge under load.
type Verdict struct {
	every    time.Duration
	Measures []Measure
}

// Measure is one thing that must not grow: the median of the second quarter of the samples against that of the last.
// The first quarter is the edge filling its caches; medians do not heed what was seen once or twice.
type Measure struct {
	Name         string
	Samples      []float64
	Before, Last float64
	Allowed      float64 // of Last
}

// Grew tells whether there is more than allowed.
func (m *Measure) Grew() bool { return m.Last > m.Allowed }

// soakMeasures are what is looked at; by how much the last quarter may be above the second, as a part of it and
// besides. What goes on at a moment makes some difference, and the log of the store has segments of some MiB.
var soakMeasures = []struct {
	name         string
	of           func(*Sample) float64
	part, beside float64
}{
	{"RSS MiB", func(s *Sample) float64 { return s.RSS }, 0.10, 4},
	{"living heap MiB", func(s *Sample) float64 { return s.Heap }, 0.15, 2},
	{"goroutines", func(s *Sample) float64 { return s.Goroutines }, 0.10, 10},
	{"open files", func(s *Sample) float64 { return s.Files }, 0.10, 10},
	{"disk MiB", func(s *Sample) float64 { return s.Disk }, 0.10, 16},
}

func judge(samples []Sample, every time.Duration) *Verdict {
	v := &Verdict{every: every}
	quarter := len(samples) / 4
	for _, w := range soakMeasures {
		m := Measure{Name: w.name}
		for i := range samples {
			m.Samples = append(m.Samples, w.of(&samples[i]))
		}
		m.Before, m.Last = median(m.Samples[quarter:2*quarter]), median(m.Samples[len(samples)-quarter:])
		m.Allowed = m.Before*(1+w.part) + w.beside
		v.Measures = append(v.Measures, m)
	}
	return v
}

// Grew names what grew; "" when nothing did.
func (v *Verdict) Grew() string {
	var names []string
	for _, m := range v.Measures {
		if m.Grew() {
			names = append(names, m.Name)
		}
	}
	return strings.Join(names, ", ")
}

// Write prints a table with a picture of each measure over time.
func (v *Verdict) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\tsecond quarter\tlast quarter\tallowed\t\tover %v\n", time.Duration(len(v.Measures[0].Samples))*v.every)
	for _, m := range v.Measures {
		word := "steady"
		if m.Grew() {
			word = "GREW"
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%s\t%s\n", m.Name, m.Before, m.Last, m.Allowed, word, sparkline(m.Samples, sparkWidth))
	}
	return t.Flush()
}

const sparkWidth = 40

// sparkline draws values from 0 to the greatest as at most width bars, each the greatest of its samples.
func sparkline(values []float64, width int) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	width = min(width, len(values))
	most := slices.Max(values)
	var b strings.Builder
	for i := range width {
		v := slices.Max(values[i*len(values)/width : (i+1)*len(values)/width])
		b.WriteRune(bars[min(int(v/max(most, 1e-9)*float64(len(bars))), len(bars)-1)])
	}
	return b.String()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
