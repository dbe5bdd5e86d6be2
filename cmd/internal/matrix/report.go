package matrix

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"

	"mangrove/internal/bench"
)

// Write prints the report as Markdown.
func (r *Report) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	r.head(b)
	for _, t := range r.Tables {
		if len(t.Rows) > 0 {
			r.table(b, &t)
		}
	}
	r.commands(b)
	return b.Flush()
}

func (r *Report) head(b *bufio.Writer) {
	f := r.cfg.form()
	fmt.Fprintf(b, "# Benchmarks\n\nWritten by `%s` on %s. Figures that look bad for us stay in.\n\n", r.cfg.Command, r.cfg.Now.Format("2006-01-02"))
	fmt.Fprintf(b, "- machine: %s\n", machine(len(r.cores)))
	fmt.Fprintf(b, "- rounds of each case: %d, measured %v after a warm-up of %v; the median counts\n", f.rounds, f.measure, f.warmUp)
	if len(r.cores) > 1 {
		fmt.Fprintf(b, "- broker on core %d, load generator on core %d; each broker is started afresh for each case, and they take turns\n", r.cores[0], r.cores[1])
	} else {
		fmt.Fprintf(b, "- one core only: broker and load generator share it, and rates and latencies mean little\n")
	}
	for _, p := range r.peers {
		if p.missing != nil {
			fmt.Fprintf(b, "- %s: not installed\n", p.Name)
			continue
		}
		fmt.Fprintf(b, "- %s %s: %s\n", p.Name, p.version, p.Setup)
	}
	fmt.Fprintf(b, "\nCPU is that of the broker's process, which includes what the kernel does in its calls; ratios are Mangrove ÷ %s.\n", r.peers[1].Name)
}

func machine(n int) string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := ""
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		release, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-") // what a distribution adds tells nothing here
		kernel = ", Linux " + release
	}
	return fmt.Sprintf("%d cores of %s%s, %s, %s", n, model, kernel, runtime.GOARCH, runtime.Version())
}

func (r *Report) table(b *bufio.Writer, t *Table) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| case | %s ratio | target |", t.Title, t.Note, t.Figures[0].Name)
	for _, f := range t.Figures {
		for _, p := range r.peers {
			fmt.Fprintf(b, " %s %s |", p.Name, f.Name)
		}
	}
	fmt.Fprintf(b, "\n|---|---|---|%s\n", strings.Repeat("---|", len(t.Figures)*len(r.peers)))
	var faults []string
	for i := range t.Rows {
		faults = append(faults, r.tableRow(b, t, &t.Rows[i])...)
	}
	for _, f := range faults {
		fmt.Fprintf(b, "\n- %s\n", f)
	}
}

func (r *Report) tableRow(b *bufio.Writer, t *Table, row *Row) (faults []string) {
	ratio := r.ratio(t, row)
	fmt.Fprintf(b, "| %s | %s | %s |", row.Name, format("%.2f", ratio), r.target(row, ratio))
	for _, f := range t.Figures {
		for _, p := range r.peers {
			fmt.Fprintf(b, " %s |", cellText(row.Results[p.Name], f))
		}
	}
	fmt.Fprintln(b)
	for _, p := range r.peers {
		if cell := row.Results[p.Name]; cell != nil {
			for _, f := range cell.Faults {
				faults = append(faults, fmt.Sprintf("%s, %s: %s", row.Name, p.Name, f))
			}
			if lost := cell.lost(); lost > 0 {
				faults = append(faults, fmt.Sprintf("%s, %s: %d messages lost", row.Name, p.Name, lost))
			}
		}
	}
	return faults
}

func (r *Report) ratio(t *Table, row *Row) float64 {
	ours, theirs := row.Results[r.peers[0].Name].median(t.Figures[0]), row.Results[r.peers[1].Name].median(t.Figures[0])
	return ours / theirs
}

// target says what was wanted, and whether it was met.
func (r *Report) target(row *Row, ratio float64) string {
	var want []string
	met := true
	if row.Target > 0 {
		want = append(want, fmt.Sprintf("≤ %.2f", row.Target))
		met = ratio <= row.Target
	}
	ours, theirs := row.Results[r.peers[0].Name], row.Results[r.peers[1].Name]
	if row.Goal != "" {
		want = append(want, row.Goal)
		met = met && row.Met(ours.middle(), theirs.middle())
	}
	switch {
	case len(want) == 0:
		return ""
	case theirs == nil || len(theirs.Rounds) == 0:
		return strings.Join(want, ", ") + ": nothing to compare with"
	case len(ours.Rounds) == 0:
		return "**" + strings.Join(want, ", ") + ": failed**"
	case met:
		return strings.Join(want, ", ") + ": met"
	}
	return "**" + strings.Join(want, ", ") + ": missed**"
}

func cellText(c *Cell, f Figure) string {
	switch {
	case c == nil:
		return "not installed"
	case len(c.Rounds) == 0:
		return "failed"
	}
	return format(f.Print, c.median(f))
}

// format prints a figure, and a dash for one that there is not.
func format(layout string, v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	return fmt.Sprintf(layout, v)
}

// median of one figure; NaN when there is none.
func (c *Cell) median(f Figure) float64 {
	if c == nil || len(c.Rounds) == 0 {
		return math.NaN()
	}
	var all []float64
	for _, r := range c.Rounds {
		all = append(all, f.Value(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// middle is the round with the median rate; an empty result when there is none.
func (c *Cell) middle() *bench.Result {
	if c == nil || len(c.Rounds) == 0 {
		return new(bench.Result)
	}
	all := slices.Clone(c.Rounds)
	slices.SortFunc(all, func(a, b *bench.Result) int { return int(a.Rate - b.Rate) })
	return all[len(all)/2]
}

func (c *Cell) lost() (n uint64) {
	for _, r := range c.Rounds {
		n += r.Lost
	}
	return n
}

func (r *Report) commands(b *bufio.Writer) {
	fmt.Fprintf(b, "\n## The commands\n\nEach with `--broker ADDR --pid PID --duration %v --warm-up %v`.\n\n```\n", r.cfg.form().measure, r.cfg.form().warmUp)
	for _, t := range r.Tables {
		for _, row := range t.Rows {
			fmt.Fprintf(b, "%-64s # %s\n", row.command(), row.Name)
		}
	}
	fmt.Fprintf(b, "```\n")
}

func containsFold(s, word string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(word))
}
