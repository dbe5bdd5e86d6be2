package cli

import (
	"strings"
	"testing"

	"mangrove/internal/dashboard"
)

// One screen of a core says how edges are spread, and what is against asking one to move.
func TestStatusSaysHowEdgesAreSpread(t *testing.T) {
	var out strings.Builder
	s := dashboard.Status{Node: "core-1", Role: "core", Ready: true, Spread: &dashboard.Spread{
		Cores: []dashboard.CoreEdges{{Name: "core-1", Edges: 7, Share: 4}, {Name: "core-2", Edges: 1, Share: 4}},
		Asked: 3, Moved: 2, Stayed: 1, Waits: "core-2 is suspected",
	}}
	printStatus(&out, s)
	got := strings.Join(strings.Fields(out.String()), " ")
	if want := "spread core-1 7 of 4, core-2 1 of 4; 3 asked to move, 2 moved, 1 stayed; none is asked: core-2 is suspected"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
	out.Reset()
	s.Spread, s.Edges = nil, &dashboard.Edges{Known: 10, Connected: 3, Away: []string{"a", "b", "c", "d", "e", "f", "g"}}
	printStatus(&out, s)
	got = strings.Join(strings.Fields(out.String()), " ")
	if want := "edges 10 known, 3 connected; away: a, b, c, d, e and 2 more"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
	out.Reset()
	s.Edges = nil
	printStatus(&out, s)
	if strings.Contains(out.String(), "edges") {
		t.Errorf("an edge: got %s, want nothing of edges", out.String())
	}
}

// A link that goes through a third core is not told like one of its own.
func TestLinkThroughAThirdCore(t *testing.T) {
	var out strings.Builder
	printLinks(&out, []dashboard.Link{{Name: "core-2", Scope: "peer", State: "up", Address: "via core-3"}})
	if want := "core-2: there is no direct line: it goes via core-3"; !strings.Contains(out.String(), want) {
		t.Errorf("got %s, want %q in it", out.String(), want)
	}
}
