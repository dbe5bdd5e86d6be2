package mutants

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A module with one package, whose tests know that Double doubles, and not that it takes no negative numbers.
var module = map[string]string{
	"go.mod": "module example\n\ngo 1.26\n",
	"a/a.go": `package a

func Double(n int) int {
	if n < 0 {
		return 0
	}
	return n * 2
}
`,
	"a/a_test.go": `package a

import "testing"

func TestDouble(t *testing.T) {
	if got := Double(2); got != 4 {
		t.Errorf("got %d, want 4", got)
	}
}
`,
	"b/b.go":      "package b\n\nconst B = 1\n",
	"b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestB(t *testing.T) { t.Error(B) }\n",
}

func TestRun(t *testing.T) {
	root := t.TempDir()
	for name, text := range module {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := []Mutant{
		{ID: "A1", File: "a/a.go", Package: "a", Old: "n * 2", New: "n * 3"},
		{ID: "A2", File: "a/a.go", Package: "a", Old: "n < 0", New: "false", Tests: "TestDouble"},
		{ID: "A3", File: "a/a.go", Package: "a", Old: "n * 2", New: "nothing"},
		{ID: "A4", File: "a/a.go", Package: "a", Old: "n * 5", New: "n * 3"},
		{ID: "A5", File: "a/a.go", Package: "a", Old: "n * 2", New: "n * 3", Tests: "TestTriple"},
		{ID: "A6", File: "a/a.go", Package: "a", Old: "n * 2", New: "n / (n - n)"},
		{ID: "B1", File: "b/b.go", Package: "b", Old: "1", New: "2"},
	}
	want := map[string]Kind{"A2": Survived, "A3": Broken, "A4": Stale, "A5": Untested, "B1": Unsound}
	var out bytes.Buffer
	r := Runner{Root: root, Parallel: 2, Timeout: time.Minute, Out: &out}
	for _, res := range r.Run(t.Context(), list) {
		if kind, bad := want[res.Mutant.ID]; !bad || kind != res.Outcome.Kind {
			t.Errorf("%s: got %v %q, want %v", res.Mutant.ID, res.Outcome.Kind, res.Outcome.Why, kind)
		}
		delete(want, res.Mutant.ID)
	}
	if len(want) > 0 {
		t.Errorf("got no report of %v", want)
	}
	if lines := strings.Count(out.String(), "\n"); lines != len(list) || !strings.Contains(out.String(), "killed by TestDouble") {
		t.Errorf("got %d lines, want %d:\n%s", lines, len(list), out.String())
	}
	if src, err := os.ReadFile(filepath.Join(root, "a/a.go")); err != nil || string(src) != module["a/a.go"] {
		t.Errorf("got another a.go than before: %v", err)
	}
}
