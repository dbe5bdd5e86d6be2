package repotest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// find answers the first submatch of each match.
func find(pattern, text string) (found []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

func TestPromisedTestsExist(t *testing.T) {
	list := exec.Command("grep", "-rhoE", "^func Test[A-Za-z0-9_]+", "--include=*_test.go", ".")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list tests: %v", err)
	}
	have := make(map[string]bool)
	for _, line := range strings.Fields(string(out)) {
		have[line] = true
	}
	named := find("`(Test[A-Za-z0-9_]+)`", read(t, "README.md"))
	if len(named) < 8 {
		t.Fatalf("README names %d tests, want at least one for each of the 8 promises", len(named))
	}
	for _, name := range named {
		if !have[name] {
			t.Errorf("README promises %s, which does not exist", name)
		}
	}
}

func TestMakeTargetsInDocumentsExist(t *testing.T) {
	targets := make(map[string]bool)
	for _, name := range find(`(?m)^([a-z-]+):`, read(t, "Makefile")) {
		targets[name] = true
	}
	for _, doc := range []string{"README.md", "docs/operating.md", "docs/architecture.md", "docs/recipes.md"} {
		for _, name := range find("(?:`|\\$ )make ([a-z-]+)", read(t, doc)) {
			if !targets[name] {
				t.Errorf("%s speaks of make %s, which the Makefile does not have", doc, name)
			}
		}
	}
}

func TestLinksBetweenDocumentsLead(t *testing.T) {
	for _, doc := range []string{"README.md", "docs/operating.md", "docs/architecture.md", "docs/recipes.md", "docs/metrics.md"} {
		for _, link := range find(`\]\(([^)#]+)`, read(t, doc)) {
			if strings.Contains(link, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(doc), link)); err != nil {
				t.Errorf("%s links to %s: %v", doc, link, err)
			}
		}
	}
}

// The table of folders names what is directly below mqtt, bridge and internal, and nothing that is not there.
func TestFoldersInReadmeExist(t *testing.T) {
	readme := read(t, "README.md")
	for _, parent := range []string{"mqtt", "bridge", "internal"} {
		row := find("(?m)^\\| `"+parent+"/` \\|(.*)\\|$", readme)
		if len(row) != 1 {
			t.Fatalf("got %d rows of %s/ in README, want one", len(row), parent)
		}
		named := find("`([a-z0-9]+)`", row[0])
		folders, err := filepath.Glob("../../" + parent + "/*/")
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range folders {
			if name := filepath.Base(folder); name != "testdata" && !slices.Contains(named, name) {
				t.Errorf("README does not say what %s/%s holds", parent, name)
			}
		}
		for _, name := range named {
			if !exists(parent + "/" + name) {
				t.Errorf("README names %s in the row of %s/, where it is not", name, parent)
			}
		}
	}
}
