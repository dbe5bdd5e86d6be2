package matrix

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"mangrove/internal/bench"
)

func results(cpus ...float64) *Cell {
	c := &Cell{}
	for _, v := range cpus {
		c.Rounds = append(c.Rounds, &bench.Result{CPUPerMillion: v, Rate: 1000, Latency: &bench.Percentiles{P99: 2000}})
	}
	return c
}

func report(missing error, rows ...Row) *Report {
	r := &Report{cfg: Config{Command: "mangrove bench matrix", Now: time.Unix(0, 0).UTC()}, cores: []int{0, 1}}
	r.peers = []found{{Peer: Peer{Name: "Mangrove"}, version: "1"}, {Peer: Peer{Name: "other"}, version: "2", missing: missing}}
	r.Tables = []Table{{Group: Group{Title: "T", Figures: []Figure{cpu, p99}}, Rows: rows}}
	return r
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportComparesMedians(t *testing.T) {
	fast := Row{Case: Case{Name: "fast", Target: 0.5}, Results: map[string]*Cell{"Mangrove": results(1, 9, 2), "other": results(8, 8, 7)}}
	slow := Row{Case: Case{Name: "slow", Target: 0.1, Goal: "p99 ≤ 1 ms", Met: func(ours, _ *bench.Result) bool { return p99.Value(ours) <= 1 }},
		Results: map[string]*Cell{"Mangrove": results(4), "other": results(8)}}
	got := text(t, report(nil, fast, slow))
	for _, want := range []string{"| fast | 0.25 | ≤ 0.50: met | 2.00 | 8.00 | 2.00 | 2.00 |", "| slow | 0.50 | **≤ 0.10, p99 ≤ 1 ms: missed** |"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %s", got, want)
		}
	}
}

func TestReportHidesNothing(t *testing.T) {
	lossy := results(1)
	lossy.Rounds[0].Lost, lossy.Faults = 7, []string{"it broke"}
	row := Row{Case: Case{Name: "bad", Target: 0.5}, Results: map[string]*Cell{"Mangrove": lossy}}
	r := report(exec.ErrNotFound, row)
	got := text(t, r)
	for _, want := range []string{"- other: not installed", "| bad | – | ≤ 0.50: nothing to compare with | 1.00 | not installed |", "bad, Mangrove: it broke", "bad, Mangrove: 7 messages lost"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %s", got, want)
		}
	}
	if err := r.Broken(); err == nil || !strings.Contains(err.Error(), "bad: it broke") {
		t.Errorf("got %v, want what broke", err)
	}
	failed := Row{Case: Case{Name: "none", Target: 0.5}, Results: map[string]*Cell{"Mangrove": {Faults: []string{"no"}}, "other": results(1)}}
	if got := text(t, report(nil, failed)); !strings.Contains(got, "| none | – | **≤ 0.50: failed** | failed | 1.00 |") {
		t.Errorf("got\n%s\nwant the failure in its row", got)
	}
}

func TestEveryCaseIsOne(t *testing.T) {
	for _, g := range groups() {
		if len(g.Figures) == 0 || g.Note == "" {
			t.Errorf("%s has no figures or no note", g.Title)
		}
		for _, c := range g.Cases {
			if c.Goal != "" && c.Met == nil || len(c.Args) == 0 {
				t.Errorf("%s: %s has no arguments, or a goal that nobody checks", g.Title, c.Name)
			}
		}
	}
}
