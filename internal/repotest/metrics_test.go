package repotest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// registered finds the names of metrics in the product's code: strings that begin with mangrove_.
func registered(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{} // by name: where
	in := regexp.MustCompile("[\"`](mangrove_[a-z0-9_]+)")
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, line := range strings.Split(string(b), "\n") {
			if m := in.FindStringSubmatch(line); m != nil && !strings.HasPrefix(strings.TrimSpace(line), "//") {
				names[m[1]] = path
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Each metric stands on the page with its kind and a sentence, and each that stands in a document exists.
func TestMetricsAreDocumented(t *testing.T) {
	have, said := registered(t), map[string]bool{}
	if len(have) < 80 {
		t.Fatalf("found %d metrics in the code, want all", len(have))
	}
	row := regexp.MustCompile("(?m)^\\| `(mangrove_[a-z0-9_]+)(\\{[a-z]+\\})?` \\| (counter|gauge|histogram) \\| [A-Z0-9].+\\. \\|$")
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		if said[m[1]] {
			t.Errorf("docs/metrics.md lists %s twice", m[1])
		}
		said[m[1]] = true
	}
	for name, path := range have {
		if !said[name] {
			t.Errorf("%s registers %s: docs/metrics.md has no row with its kind and a sentence", path, name)
		}
	}
	for _, doc := range []string{"docs/metrics.md", "docs/operating.md", "README.md"} {
		for _, name := range find("`(mangrove_[a-z0-9_]+)", read(t, doc)) {
			if have[name] == "" {
				t.Errorf("%s speaks of %s, which no code registers", doc, name)
			}
		}
	}
}
