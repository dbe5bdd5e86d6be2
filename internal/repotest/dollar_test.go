package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// dollars are the literals that begin with "$" outside mqtt/topic, by file, and what they are instead of topics.
var dollars = map[string]string{
	"bridge/config.go":            "names of nodes that are the bridge's own",
	"bridge/record.go":            "the name of the uplink among the neighbours",
	"internal/auth/phc.go":        "the text of a hash",
	"internal/auth/scram_keys.go": "the text of a SCRAM line",
}

// Package topic owns the prefixes that begin with "$": nobody else tests for one.
func TestDollarHasOneOwner(t *testing.T) {
	found := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		name := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
		switch {
		case err != nil:
			return err
		case d.IsDir() && (apart[name] != nil || name == "mqtt/topic" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2):
			return filepath.SkipDir
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		for _, at := range dollarsIn(t, path) {
			if found[name] = true; dollars[name] == "" {
				t.Errorf("%s: a literal that begins with $: ask package topic, or say in dollars what it is", at)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range dollars {
		if !found[name] {
			t.Errorf("%s has no literal that begins with $: take it out of dollars", name)
		}
	}
}

// dollarsIn finds the string and character literals of a file that begin with "$".
func dollarsIn(t *testing.T, path string) (places []token.Position) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && (lit.Kind == token.STRING || lit.Kind == token.CHAR) {
			if text, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(text, "$") {
				places = append(places, files.Position(lit.Pos()))
			}
		}
		return true
	})
	return places
}

// Each prefix is a row of the table in docs/architecture.md, and of the one in the comment above the rows.
func TestPrefixesAreTold(t *testing.T) {
	spaces, doc := read(t, "mqtt/topic/spaces.go"), read(t, "docs/architecture.md")
	prefixes := find(`(?m)^\t\w+ += "(\$\w+/)"`, spaces)
	if len(prefixes) < 3 {
		t.Fatalf("found %d prefixes in mqtt/topic/spaces.go", len(prefixes))
	}
	for _, p := range prefixes {
		if !strings.Contains(doc, "\n| `"+p+"` |") || !strings.Contains(spaces, "\n//\t"+p+" ") {
			t.Errorf("%s is missing in the table of docs/architecture.md, or in the comment of spaces", p)
		}
	}
}
