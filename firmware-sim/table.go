package firmwaresim

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// columns are the heads of the report's table. The first is aligned left, the others right.
var columns = []string{"", "devices", "published", "acked", "received", "lost", "unacked", "dup", "disorder", "QoS 0 lost", "p50", "p99", "max"}

// table has a line for each model, the commands and the total.
func (r *Report) table(b *strings.Builder) {
	lines := [][]string{columns}
	for _, row := range r.Models {
		lines = append(lines, row.cells())
	}
	total := Row{"total", r.Total}
	lines = append(lines, r.Commands.cells(), total.cells())
	widths := make([]int, len(columns))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, line := range lines {
		if i == 1 || i == len(lines)-1 {
			rule(b, widths)
		}
		write(b, line, widths)
	}
}

// cells are a row's texts, in the order of columns.
func (r *Row) cells() []string {
	devices := "·"
	if r.Devices > 0 {
		devices = thousands(uint64(r.Devices))
	}
	cells := []string{r.Name, devices}
	for _, n := range []uint64{r.Published, r.Acknowledged, r.Received, r.Lost, r.Unacknowledged, r.Duplicated, r.OutOfOrder, r.LostQoS0} {
		cells = append(cells, thousands(n))
	}
	for _, ms := range []float64{r.Latency.P50, r.Latency.P99, r.Latency.Max} {
		cells = append(cells, latencyText(ms))
	}
	return cells
}

func write(b *strings.Builder, cells []string, widths []int) {
	for i, cell := range cells {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i == 0 {
			b.WriteString("  " + cell + pad)
		} else {
			b.WriteString("  " + pad + cell)
		}
	}
	b.WriteByte('\n')
}

func rule(b *strings.Builder, widths []int) {
	b.WriteString("  ")
	for i, w := range widths {
		if i > 0 {
			w += 2
		}
		b.WriteString(strings.Repeat("─", w))
	}
	b.WriteByte('\n')
}

// thousands writes n with commas.
func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func latencyText(ms float64) string {
	switch {
	case ms == 0:
		return "·"
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
}
