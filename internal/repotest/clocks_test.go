package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wallReaders are the files that turn times into the wall clock's or back, with what for. A deadline is not among them: it is a
// time.Time that keeps its monotonic reading, or stored time. docs/clocks.md tells the same to operators.
var wallReaders = map[string]string{
	"internal/store/clock.go":       "the stored time itself: what the wall clock shows is looked at between two runs",
	"internal/due/clock.go":         "the stored time of who stores nothing",
	"internal/auth/file.go":         "whether the password file is another: compared for being equal only",
	"internal/gossip/pool.go":       "which of two starts of a node is the later one",
	"bridge/healing.go":             "a line in the log",
	"bridge/record.go":              "records of earlier versions",
	"bridge/lane/entry.go":          "records of earlier versions",
	"mqtt/wire.go":                  "bytes at rest, whose deadline nobody goes by: it is kept beside them in stored time",
	"mqtt/wire_link.go":             "links to nodes of an earlier version",
	"mqtt/transport/halfopen.go":    "a moment that is always over",
	"retain/version.go":             "versions of retained messages, see package hlc",
	"cmd/internal/pubsub/format.go": "what a client shows",
}

// simulators are folders whose programs keep no deadlines of a node.
var simulators = []string{"firmware-sim", "internal/sim", "internal/bench", "internal/mutants", "cmd/internal/matrix", "cmd/internal/demo"}

func TestWallClockIsReadWhereListed(t *testing.T) {
	text, err := os.ReadFile("../../docs/clocks.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		name := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
		switch {
		case err != nil:
			return err
		case d.IsDir() && (apart[name] != nil || slices.Contains(simulators, name) || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2):
			return filepath.SkipDir
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		for _, at := range wallReadsIn(t, path) {
			if found[name] = true; wallReaders[name] == "" {
				t.Errorf("%s: reads the wall clock: a deadline must not, see docs/clocks.md; anything else is to be said in wallReaders", at)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range wallReaders {
		if !found[name] {
			t.Errorf("%s does not read the wall clock: take it out of wallReaders", name)
		}
		if !strings.HasPrefix(name, "cmd/") && !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/clocks.md does not name %s", name)
		}
	}
}

// wallReadsIn finds the calls that make a number of a time, or a time of a number.
func wallReadsIn(t *testing.T, path string) (places []token.Position) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, is := n.(*ast.CallExpr)
		if !is {
			return true
		}
		if f, is := call.Fun.(*ast.SelectorExpr); is {
			switch f.Sel.Name {
			case "Unix", "UnixMilli", "UnixMicro", "UnixNano", "ModTime":
				places = append(places, files.Position(n.Pos()))
			}
		}
		return true
	})
	return places
}
