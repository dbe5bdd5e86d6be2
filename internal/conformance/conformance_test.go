package conformance

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/conformance.md")

// codeLine is a file with a line of code.
var codeLine = regexp.MustCompile(`(\.go):[0-9]+`)

const (
	root = "../.."
	page = root + "/docs/conformance.md"
)

func TestEachStatementHasCodeAndTest(t *testing.T) {
	table := read(t)
	for _, p := range table.Problems {
		t.Error(p)
	}
}

func TestPageIsUpToDate(t *testing.T) {
	table := read(t)
	if *update {
		if err := os.WriteFile(page, []byte(table.Markdown(true)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := withoutLines(string(text)), table.Markdown(false); got != want {
		t.Errorf("docs/conformance.md is not up to date: run `make conformance`; %s", firstDifference(got, want))
	}
}

// Lines of code move with every edit; the page need not follow each.
func withoutLines(text string) string { return codeLine.ReplaceAllString(text, "$1") }

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "got  " + a[i] + "\nwant " + b[i]
		}
	}
	return "one has more lines"
}

func TestCounts(t *testing.T) {
	statements, err := Statements()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[bool]int{}
	for _, s := range statements {
		counts[strings.HasPrefix(s.ID, "MQTT311-")]++
		if n := len(strings.Fields(s.Says)); n > 16 {
			t.Errorf("%s is said in %d words: say it shorter", s.ID, n)
		}
	}
	if got, want := counts[false], 251; got != want { // appendix B of MQTT 5.0
		t.Errorf("statements of 5.0: got %d, want %d", got, want)
	}
	if got, want := counts[true], 141; got != want { // appendix B of MQTT 3.1.1
		t.Errorf("statements of 3.1.1: got %d, want %d", got, want)
	}
}

func read(t *testing.T) *Table {
	t.Helper()
	table, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	return table
}
