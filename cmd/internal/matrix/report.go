package matrix

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
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
	r.size(b)
	r.commands(b)
	return b.Flush()
}

func (r *Report) head(b *bufio.Writer) {
	f := r.cfg.form()
	fmt.Fprintf(b, "# Benchmarks\n\nWritten by `%s` on %s. Figures that look bad for us stay in.\n\n", r.cfg.Command, r.cfg.Now.Format("2006-01-02"))
	fmt.Fprintf(b, "- machine: %s\n", machine(len(r.cores)))
	fmt.Fprintf(b, "- rounds of each case: %d for Mangrove and %s, measured %v after a warm-up of %v; the median counts; 1 for other brokers and for cases that take long\n",
		f.rounds, r.peers[1].Name, f.measure, f.warmUp)
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

// size tells how large the gateway's binary is.
func (r *Report) size(b *bufio.Writer) {
	if r.cfg.Gateway == "" {
		return
	}
	const bound = 15e6
	info, err := os.Stat(r.cfg.Gateway)
	fmt.Fprintf(b, "\n## Size\n\n")
	switch {
	case err != nil:
		fmt.Fprintf(b, "`mangrove-edge` for linux/arm64: not built: %v\n", err)
	case info.Size() <= bound:
		fmt.Fprintf(b, "`mangrove-edge` for linux/arm64, stripped: %.1f MB; ≤ %.0f MB: met\n", float64(info.Size())/1e6, bound/1e6)
	default:
		fmt.Fprintf(b, "`mangrove-edge` for linux/arm64, stripped: %.1f MB; **≤ %.0f MB: missed**\n", float64(info.Size())/1e6, bound/1e6)
	}
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

// table prints the compared figure with ratio and target, then the other figures.
func (r *Report) table(b *bufio.Writer, t *Table) {
	shown := r.shown(t)
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| case | %s ratio | target |", t.Title, t.Note, t.Figures[0].Name)
	columns(b, shown, t.Figures, 2)
	for i := range t.Rows {
		row := &t.Rows[i]
		ratio := r.ratio(t, row)
		fmt.Fprintf(b, "| %s | %s | %s |", row.Name, format("%.2f", ratio), r.target(row, ratio))
		r.cells(b, shown, t.Figures, row)
	}
	for _, figures := range t.More {
		fmt.Fprintf(b, "\n| case |")
		columns(b, shown, figures, 0)
		for i := range t.Rows {
			if row := &t.Rows[i]; r.any(row, figures) {
				fmt.Fprintf(b, "| %s |", row.Name)
				r.cells(b, shown, figures, row)
			}
		}
	}
	for _, f := range append(r.lacks(t), r.faults(t)...) {
		fmt.Fprintf(b, "\n- %s\n", f)
	}
}

// shown are the brokers that a table has columns for: those that something was measured of, ours and the reference anyway.
func (r *Report) shown(t *Table) (names []string) {
	for i, p := range r.peers {
		has := i < 2
		for _, row := range t.Rows {
			cell := row.Results[p.Name]
			has = has || cell != nil && cell.Lacks == ""
		}
		if has {
			names = append(names, p.Name)
		}
	}
	return names
}

// columns ends the head of a table, which has so many columns more before those of figures and the case's name.
func columns(b *bufio.Writer, names []string, figures []Figure, before int) {
	for _, f := range figures {
		for _, name := range names {
			fmt.Fprintf(b, " %s %s |", name, f.Name)
		}
	}
	fmt.Fprintf(b, "\n|%s\n", strings.Repeat("---|", 1+before+len(figures)*len(names)))
}

func (r *Report) cells(b *bufio.Writer, names []string, figures []Figure, row *Row) {
	for _, f := range figures {
		for _, name := range names {
			fmt.Fprintf(b, " %s |", r.cellText(name, row.Results[name], f))
		}
	}
	fmt.Fprintln(b)
}

// any tells whether a row has any of some figures.
func (r *Report) any(row *Row, figures []Figure) bool {
	for _, cell := range row.Results {
		for _, f := range figures {
			if v := cell.median(f); v != 0 && !math.IsNaN(v) {
				return true
			}
		}
	}
	return false
}

// lacks are why brokers were not measured in some rows.
func (r *Report) lacks(t *Table) (all []string) {
	for _, p := range r.peers {
		rows := map[string][]string{} // by reason
		for _, row := range t.Rows {
			if cell := row.Results[p.Name]; cell != nil && cell.Lacks != "" {
				rows[cell.Lacks] = append(rows[cell.Lacks], row.Name)
			}
		}
		for _, why := range slices.Sorted(maps.Keys(rows)) {
			all = append(all, fmt.Sprintf("%s was not measured in %s: %s", p.Name, strings.Join(rows[why], "; "), why))
		}
	}
	return all
}

// faults are what went wrong in a table's rows.
func (r *Report) faults(t *Table) (all []string) {
	for _, row := range t.Rows {
		for _, p := range r.peers {
			cell := row.Results[p.Name]
			if cell == nil {
				continue
			}
			for _, f := range cell.Faults {
				all = append(all, fmt.Sprintf("%s, %s: %s", row.Name, p.Name, f))
			}
			if lost := cell.lost(); lost > 0 {
				all = append(all, fmt.Sprintf("%s, %s: %d messages lost", row.Name, p.Name, lost))
			}
		}
	}
	return all
}

func (r *Report) ratio(t *Table, row *Row) float64 {
	ours, theirs := row.Results[r.peers[0].Name].median(t.Figures[0]), row.Results[r.peers[1].Name].median(t.Figures[0])
	return ours / theirs
}

// target says what was wanted, and whether it was met.
func (r *Report) target(row *Row, ratio float64) string {
	var want []string
	met, lacking := true, false // lacking: a goal speaks of a row that was not measured
	if row.Target > 0 {
		want = append(want, fmt.Sprintf("≤ %.2f", row.Target))
		met = ratio <= row.Target
	}
	ours, theirs := row.Results[r.peers[0].Name], row.Results[r.peers[1].Name]
	if row.Goal != "" {
		want = append(want, row.Goal)
		m := &Measured{Ours: ours.middle(), Reference: theirs.middle()}
		m.Row = func(name string) *Round {
			other := r.ours(name)
			lacking = lacking || other.Seconds == 0
			return other
		}
		met = row.Met(m) && met
	}
	switch {
	case len(want) == 0:
		return ""
	case ours == nil || len(ours.Rounds) == 0:
		return "**" + strings.Join(want, ", ") + ": failed**"
	case lacking, row.Target > 0 && (theirs == nil || len(theirs.Rounds) == 0):
		return strings.Join(want, ", ") + ": nothing to compare with"
	case met:
		return strings.Join(want, ", ") + ": met"
	}
	return "**" + strings.Join(want, ", ") + ": missed**"
}

// ours is what was measured of Mangrove in a row of any table.
func (r *Report) ours(name string) *Round {
	for _, t := range r.Tables {
		for _, row := range t.Rows {
			if row.Name == name {
				return row.Results[r.peers[0].Name].middle()
			}
		}
	}
	return new(Round)
}

func (r *Report) cellText(name string, c *Cell, f Figure) string {
	missing := slices.ContainsFunc(r.peers, func(p found) bool { return p.Name == name && p.missing != nil })
	switch {
	case missing:
		return "not installed"
	case c == nil || c.Lacks != "":
		return "–"
	case len(c.Rounds) == 0:
		return "failed"
	}
	v := c.median(f)
	if v == 0 && f.Zero {
		return fmt.Sprintf(f.Print, v)
	}
	return format(f.Print, v)
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
func (c *Cell) middle() *Round {
	if c == nil || len(c.Rounds) == 0 {
		return new(Round)
	}
	all := slices.Clone(c.Rounds)
	slices.SortFunc(all, func(a, b *Round) int { return cmp.Compare(a.Rate, b.Rate) })
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
