package repotest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mangrove/internal/mutants"
)

// Each mutant's text stands in its file, and the tests that it names in their package. Text that has moved is looked for,
// so that the list is easily kept.
func TestMutantsFit(t *testing.T) {
	list, err := mutants.Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 150 {
		t.Errorf("got %d mutants, want at least 150: a rule that moved is to be kept in the list", len(list))
	}
	for _, m := range list {
		src, err := os.ReadFile(filepath.Join("../..", m.File))
		if err == nil {
			_, err = m.Apply(string(src))
		}
		if err != nil {
			t.Errorf("%s: %s: %v; adapt the list. The text stands in %q", m.Place, m.ID, err, filesWith(t, m.Old))
		}
		for _, name := range strings.FieldsFunc(m.Tests, func(r rune) bool { return r == '|' }) {
			if !testsOf(t, m.Package)[name] {
				t.Errorf("%s: %s: there is no %s in %s", m.Place, m.ID, name, m.Package)
			}
		}
	}
}

// filesWith lists the product's files that have text.
func filesWith(t *testing.T, text string) (names []string) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		if name := strings.TrimPrefix(filepath.ToSlash(path), "../../"); strings.Contains(read(t, name), text) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// testsOf are the names of the tests of one package.
func testsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	files, err := filepath.Glob(filepath.Join("../..", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, name := range find(`(?m)^func ((?:Test|Fuzz)\w+)\(`, read(t, strings.TrimPrefix(filepath.ToSlash(file), "../../"))) {
			names[name] = true
		}
	}
	return names
}
