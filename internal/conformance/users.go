package conformance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// users tells which test functions of a folder use a declaration of its test files, directly or through
// others, nearest first: a table of cases belongs to the test that goes through it.
type users struct {
	root    string
	folders map[string]map[string][]string // folder → declaration → what it mentions
}

// resolve gives each test citation that is in no test function to the test functions that use it.
func (u *users) resolve(citations []Citation) ([]Citation, error) {
	var all []Citation
	for _, c := range citations {
		if !c.Test || c.In == "" || isTest(c.In) {
			all = append(all, c)
			continue
		}
		names, err := u.testsOf(path.Dir(c.File), c.In)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			c.In = name
			all = append(all, c)
		}
	}
	return all, nil
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test")
}

// testsOf returns the test functions nearest to the declaration; the declaration itself when none uses it.
func (u *users) testsOf(folder, decl string) ([]string, error) {
	mentions, err := u.mentions(folder)
	if err != nil {
		return nil, err
	}
	seen, level := map[string]bool{decl: true}, []string{decl}
	for len(level) > 0 {
		var tests, next []string
		for user, mentioned := range mentions {
			if seen[user] || !containsAny(mentioned, level) {
				continue
			}
			if next = append(next, user); isTest(user) {
				tests = append(tests, user)
			}
		}
		if len(tests) > 0 {
			return tests, nil
		}
		for _, user := range next {
			seen[user] = true
		}
		level = next
	}
	return []string{decl}, nil
}

// containsAny tells whether one of names is among the words; of a method only its own name is looked for.
func containsAny(words, names []string) bool {
	for _, name := range names {
		if slices.Contains(words, name[strings.LastIndexByte(name, '.')+1:]) {
			return true
		}
	}
	return false
}

// mentions reads the test files of a folder, once.
func (u *users) mentions(folder string) (map[string][]string, error) {
	if m := u.folders[folder]; m != nil {
		return m, nil
	}
	files, err := filepath.Glob(filepath.Join(u.root, folder, "*_test.go"))
	if err != nil {
		return nil, err
	}
	m := map[string][]string{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range tree.Decls {
			m[name(decl)] = append(m[name(decl)], idents(decl)...)
		}
	}
	u.folders[folder] = m
	return m, nil
}

func idents(decl ast.Decl) (words []string) {
	ast.Inspect(decl, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			words = append(words, id.Name)
		}
		return true
	})
	return words
}
