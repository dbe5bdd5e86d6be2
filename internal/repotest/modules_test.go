package repotest

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// peers is the other module of this repository: the brokers that `make bench` compares with. It is kept apart so that
// what they need is no need of ours.
const peers = "internal/bench/peers"

func TestPeersAreKeptApart(t *testing.T) {
	var modules []string
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == "go.mod" {
			modules = append(modules, filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../../"))))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(modules); !slices.Equal(modules, []string{".", peers}) {
		t.Errorf("got modules in %q, want the product's and %s", modules, peers)
	}
	if theirs := read(t, peers+"/go.mod"); strings.Contains(theirs, "replace") || !strings.HasPrefix(theirs, "module mangrove/"+peers+"\n") {
		t.Errorf("got a go.mod with another name, or with a replacement, in %s", peers)
	}
	for _, name := range []string{"nats-server", "mochi-mqtt"} {
		if strings.Contains(read(t, "go.mod"), name) || !strings.Contains(read(t, peers+"/go.mod"), name) {
			t.Errorf("%s must be in the go.mod of %s, and not in the product's", name, peers)
		}
	}
	for _, p := range packages(t) {
		if strings.HasPrefix(p.ImportPath, "mangrove/"+peers) {
			t.Errorf("%s belongs to the product's module, want it apart", p.ImportPath)
		}
	}
}
