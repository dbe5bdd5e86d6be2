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
		c.Rounds = append(c.Rounds, &Round{Result: bench.Result{CPUPerMillion: v, Rate: 1000, Latency: &bench.Percentiles{P99: 2000}}})
	}
	return c
}

func report(missing error, rows ...Row) *Report {
	r := &Report{cfg: Config{Command: "mangrove bench matrix", Now: time.Unix(0, 0).UTC()}, cores: []int{0, 1}}
	r.peers = []found{{Peer: Peer{Name: "Mangrove"}, version: "1"}, {Peer: Peer{Name: "other"}, version: "2", missing: missing}}
	r.Tables = []Table{{Group: Group{Title: "T", Figures: []Figure{cpu}, More: [][]Figure{{p99}}}, Rows: rows}}
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
	slow := Row{Case: Case{Name: "slow", Target: 0.1, Goal: "p99 ≤ 1 ms", Met: func(m *Measured) bool { return p99.Value(m.Ours) <= 1 }},
		Results: map[string]*Cell{"Mangrove": results(4), "other": results(8)}}
	got := text(t, report(nil, fast, slow))
	for _, want := range []string{"| fast | 0.25 | ≤ 0.50: met | 2.00 | 8.00 |", "| fast | 2.00 | 2.00 |", "| slow | 0.50 | **≤ 0.10, p99 ≤ 1 ms: missed** |"} {
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

func TestGoalsMaySpeakOfOtherRows(t *testing.T) {
	twice := func(m *Measured) bool { return cpu.Value(m.Ours) <= 2*cpu.Value(m.Row("few")) }
	few := Row{Case: Case{Name: "few"}, Results: map[string]*Cell{"Mangrove": results(1)}}
	few.Results["Mangrove"].Rounds[0].Seconds = 1
	many := Row{Case: Case{Name: "many", Goal: "twice", Met: twice}, Results: map[string]*Cell{"Mangrove": results(1.9), "other": {Lacks: "it cannot"}}}
	more := Row{Case: Case{Name: "more", Goal: "twice", Met: twice}, Results: map[string]*Cell{"Mangrove": results(2.1)}}
	got := text(t, report(nil, few, many, more))
	for _, want := range []string{"| many | – | twice: met | 1.90 | – |", "| more | – | **twice: missed** | 2.10 | – |", "- other was not measured in many: it cannot"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %s", got, want)
		}
	}
	if got := text(t, report(nil, many)); !strings.Contains(got, "| many | – | twice: nothing to compare with |") {
		t.Errorf("got\n%s\nwant no verdict without the row that it is about", got)
	}
}

func TestBrokersTakeTheirTurns(t *testing.T) {
	r := &Report{peers: []found{{Peer: Peer{Name: "ours"}}, {Peer: Peer{Name: "reference"}}, {Peer: Peer{Name: "third"}}, {Peer: Peer{Name: "gone"}, missing: exec.ErrNotFound}}}
	for _, c := range []struct {
		full  bool
		c     Case
		round int
		want  int
	}{
		{false, Case{}, 0, 2}, {false, Case{Wide: true}, 0, 3}, {true, Case{}, 0, 3}, {true, Case{}, 1, 2}, {true, Case{Alone: true}, 0, 1},
	} {
		r.cfg.Full = c.full
		if got := r.takers(&c.c, c.round); len(got) != c.want {
			t.Errorf("full %t, %+v, round %d: got %d brokers, want %d", c.full, c.c, c.round, len(got), c.want)
		}
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
