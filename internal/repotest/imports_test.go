// Package repotest checks the repository itself: who may import whom, and that the documents tell
// the truth. It has tests only.
package repotest

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// rows are the layers of docs/architecture.md, lowest first. A package may import packages of
// lower rows only. Longest prefix wins; a package of ours in no row fails the test.
var rows = map[string]int{
	"internal/batch":         0,
	"internal/oplog":         0,
	"internal/oplog/logtest": 1,
	"mqtt/packet":            1,
	"mqtt/transport":         1,
	"internal/bell":          0,
	"internal/bytesread":     0,
	"internal/due":           0,
	"internal/hlc":           0,
	"bridge/reconcile":       0,
	"bridge/pace":            0,
	"bridge/spread":          0,
	"mqtt/topic":             0,
	"internal/metrics":       0,
	"internal/notice":        0,
	"internal/setting":       0,
	"internal/spell":         0,
	"internal/overflow":      1,
	"internal/gossip":        1,
	"internal/store":         1,
	"internal/sim":           1,
	"internal/wal":           1,
	"internal/wal/waltest":   2,
	"bridge/frame":           1,
	"mqtt":                   2,
	"mqtt/client":            3,
	"mqtt/router":            3,
	"mqtt/mqtttest":          3,
	"bridge/remote":          3,
	"bridge/interest":        3,
	"bridge/seen":            3,
	"bridge/lane":            3,
	"mqtt/broker":            4,
	"session":                4,
	"retain":                 4,
	"bridge":                 4,
	"internal/auth":          4,
	"internal/control":       4,
	"internal/bench":         4,
	"internal/dashboard":     4,
	"firmware-sim":           4,
	"internal/node":          5,
	"edge":                   6,
	"core":                   6,
	"cmd":                    7,
	"internal/conformance":   8,
	"internal/e2e":           8,
	"internal/powercut":      8,
	"internal/repotest":      8,
	"internal/mutants":       8,
}

// within lists the imports allowed inside one row.
var within = map[[2]string]bool{
	{"internal/mutants", "internal/mutants"}: true, // the command and what it does
	{"cmd", "cmd"}:                           true,
	{"internal/store", "internal/wal"}:       true, // the log in front of the database
}

// outside names the one package of ours that may import each library.
var outside = map[string]string{
	"go.etcd.io/bbolt":                   "internal/store",
	"github.com/hashicorp/memberlist":    "internal/gossip",
	"github.com/gobwas/ws":               "mqtt/transport",
	"github.com/VictoriaMetrics/metrics": "internal/metrics",
	"github.com/klauspost/compress":      "bridge/frame",
	"github.com/spf13/cobra":             "cmd",
	"github.com/spf13/pflag":             "cmd",
	"github.com/pelletier/go-toml":       "cmd",
	"github.com/coreos/go-systemd":       "cmd",
	"golang.org/x/crypto":                "internal/auth",
	"github.com/eclipse/paho.golang":     "bridge/remote", // and tests in internal/e2e and internal/conformance
	"pgregory.net/rapid":                 "",
	"go.uber.org/goleak":                 "",
}

type pkg struct {
	ImportPath string
	Module     struct{ Path string }
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Module,Imports", "mangrove/...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages, want the whole repository", len(all))
	}
	return all
}

// part finds the longest entry of rows that path is or lies under.
func part(path string) string {
	path = strings.TrimPrefix(path, "mangrove/")
	for {
		if _, ok := rows[path]; ok {
			return path
		}
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return ""
		}
		path = path[:i]
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		from := part(p.ImportPath)
		if from == "" {
			t.Errorf("%s stands in no row: add it to rows and to docs/architecture.md", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, "mangrove/") {
				continue
			}
			to := part(imp)
			if to == from && (within[[2]string{from, to}] || strings.HasPrefix(imp, p.ImportPath+"/") || strings.Contains(imp, "/internal/")) {
				continue
			}
			if rows[to] >= rows[from] && !within[[2]string{from, to}] {
				t.Errorf("%s (row %d) imports %s (row %d): imports point down only", p.ImportPath, rows[from], imp, rows[to])
			}
		}
	}
}

// What is allowed and not used invites: it is taken out of within, outside and rows.
func TestEachAllowedImportIsUsed(t *testing.T) {
	used, parts, libraries := map[[2]string]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range packages(t) {
		from := part(p.ImportPath)
		parts[from] = true
		for _, imp := range p.Imports {
			used[[2]string{from, part(imp)}] = true
			if lib, _ := library(imp); lib != "" {
				libraries[lib] = true
			}
		}
	}
	for pair := range within {
		if !used[pair] {
			t.Errorf("within allows %s to import %s, which it does not", pair[0], pair[1])
		}
	}
	for lib, owner := range outside {
		if owner != "" && !libraries[lib] {
			t.Errorf("outside allows %s to import %s, which it does not", owner, lib)
		}
	}
	for row := range rows {
		if !parts[row] {
			t.Errorf("rows has %s, where no package is", row)
		}
	}
}

// docs/architecture.md draws the rows, and its table says of each part what it holds; a part inside another one may be
// said there.
func TestRowsAreDrawn(t *testing.T) {
	drawing, table, ok := strings.Cut(read(t, "docs/architecture.md"), "| part | what it holds |")
	if !ok {
		t.Fatal("docs/architecture.md has no table of parts")
	}
	drawn, row := map[string]int{}, -1
	for _, line := range strings.Split(drawing, "\n") {
		if n := find(`^ row (\d)  `, line); n != nil {
			row = int(n[0][0] - '0')
		}
		for _, word := range strings.Fields(line) {
			if _, known := rows[word]; known && row >= 0 && strings.HasPrefix(line, " ") {
				drawn[word] = row
			}
		}
	}
	cells := strings.Join(find("(?m)^\\| (`[^|]+`) \\|", table), " ")
	for name, row := range rows {
		if at, ok := drawn[name]; !ok || at != row {
			t.Errorf("%s is of row %d; docs/architecture.md draws it in row %d (drawn: %v)", name, row, at, ok)
		}
		if !strings.Contains(cells, "`"+name+"`") && !strings.Contains(cells, "`"+path.Dir(name)+"`") {
			t.Errorf("the table of docs/architecture.md does not say what %s holds", name)
		}
	}
}

func TestOneOutsideLibraryBehindOnePackage(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			lib, known := library(imp)
			if lib == "" {
				continue
			}
			if !known {
				t.Errorf("%s imports %s: name its one owner in this test and write a decision record", p.ImportPath, imp)
				continue
			}
			if owner := outside[lib]; part(p.ImportPath) != owner {
				t.Errorf("%s imports %s, which only %q may import", p.ImportPath, imp, owner)
			}
		}
	}
}

// library answers "" for the standard library, our own packages and golang.org/x/sys, which is
// the standard library's other half.
func library(imp string) (lib string, known bool) {
	if strings.HasPrefix(imp, "mangrove/") || imp == "mangrove" || !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") ||
		strings.HasPrefix(imp, "golang.org/x/sys") {
		return "", true
	}
	for l := range outside {
		if imp == l || strings.HasPrefix(imp, l+"/") {
			return l, true
		}
	}
	return imp, false
}

// The words of MQTT know what a batch of writes is, and no store: another one can be put under them.
func TestWordsKnowNoStore(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "mangrove/mqtt")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	for _, dep := range deps {
		if lib, _ := library(dep); lib == "go.etcd.io/bbolt" || part(dep) == "internal/store" || part(dep) == "internal/wal" {
			t.Errorf("mqtt needs %s, want it to know no store", dep)
		}
	}
	if !slices.Contains(deps, "mangrove/internal/batch") {
		t.Error("go list -deps ./mqtt does not show internal/batch")
	}
}
