package repotest

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// apart are the other modules of this repository, with what each is for. They are kept apart so that what they need is
// no need of ours.
var apart = map[string][]string{
	"internal/bench/peers": {"nats-server", "mochi-mqtt"}, // the brokers that `make bench` compares with
	"internal/tools":       {"honnef.co/go/tools"},        // staticcheck, for `make check`
}

func TestModulesAreKeptApart(t *testing.T) {
	wantModules(t, modules(t))
	product := read(t, "go.mod")
	for dir, needs := range apart {
		theirs := read(t, dir+"/go.mod")
		if strings.Contains(theirs, "replace") || !strings.HasPrefix(theirs, "module mangrove/"+dir+"\n") {
			t.Errorf("got a go.mod with another name, or with a replacement, in %s", dir)
		}
		for _, name := range needs {
			if strings.Contains(product, name) || !strings.Contains(theirs, name) {
				t.Errorf("%s must be in the go.mod of %s, and not in the product's", name, dir)
			}
		}
		for _, p := range packages(t) {
			if strings.HasPrefix(p.ImportPath, "mangrove/"+dir) {
				t.Errorf("%s belongs to the product's module, want it apart", p.ImportPath)
			}
		}
	}
}

// modules lists the folders that have a go.mod.
func modules(t *testing.T) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == "go.mod" {
			dirs = append(dirs, filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../../"))))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func wantModules(t *testing.T, got []string) {
	t.Helper()
	want := []string{"."}
	for dir := range apart {
		want = append(want, dir)
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("got modules in %q, want %q", got, want)
	}
}
