package conformance

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Citation is one place that names a statement.
type Citation struct {
	ID   string
	File string // from the root of the repository, with slashes
	Line int
	In   string // the function it is in or above; for a method "type.method"; "" = none
	Test bool
}

// Citations reads every Go file and every testdata script under root.
func Citations(root string) ([]Citation, error) {
	var all []Citation
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		found, err := in(root, filepath.ToSlash(rel), d)
		all = append(all, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read citations: %w", err)
	}
	return (&users{root, map[string]map[string][]string{}}).resolve(all)
}

// in reads one file, or skips a folder.
func in(root, file string, d fs.DirEntry) ([]Citation, error) {
	base := path.Base(file)
	switch {
	case d.IsDir() && (file == "docs" || file == "bin" || file == "dist" || len(base) > 1 && base[0] == '.'):
		return nil, fs.SkipDir
	case d.IsDir():
		return nil, nil
	case path.Dir(file) == "internal/conformance": // speaks of ids, cites none
		return nil, nil
	case strings.HasSuffix(file, ".go"):
		return inGo(root, file)
	case strings.HasSuffix(file, ".txt") && path.Base(path.Dir(file)) == "testdata":
		return inScript(root, file)
	}
	return nil, nil
}

// inGo finds the citations of a Go file, in comments and strings alike.
func inGo(root, file string) ([]Citation, error) {
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil || !idPattern.Match(text) {
		return nil, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	at := func(p token.Pos) int { return set.Position(p).Offset }
	var all []Citation
	for _, found := range idPattern.FindAllIndex(text, -1) {
		c := Citation{ID: string(text[found[0]:found[1]]), File: file, Test: strings.HasSuffix(file, "_test.go")}
		c.Line = 1 + strings.Count(string(text[:found[0]]), "\n")
		for _, decl := range tree.Decls {
			if first := at(start(decl)); first <= found[0] && found[0] < at(decl.End())+lineRest(text, at(decl.End())) {
				c.In = name(decl)
			}
		}
		all = append(all, c)
	}
	return all, nil
}

// lineRest is the number of bytes from i to the end of the line: a comment there belongs to what it follows.
func lineRest(text []byte, i int) int {
	if n := strings.IndexByte(string(text[i:]), '\n'); n >= 0 {
		return n
	}
	return len(text) - i
}

// start is where a declaration begins, with its comment.
func start(d ast.Decl) token.Pos {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc != nil {
			return d.Doc.Pos()
		}
	case *ast.GenDecl:
		if d.Doc != nil {
			return d.Doc.Pos()
		}
	}
	return d.Pos()
}

// name is how a declaration is called: a method with its type, others by their first name.
func name(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return d.Name.Name
		}
		return typeName(d.Recv.List[0].Type) + "." + d.Name.Name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				return s.Name.Name
			case *ast.ValueSpec:
				return s.Names[0].Name
			}
		}
	}
	return ""
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// inScript finds the citations of a script that a test plays.
func inScript(root, file string) ([]Citation, error) {
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return nil, err
	}
	var all []Citation
	for i, line := range strings.Split(string(text), "\n") {
		for _, id := range idPattern.FindAllString(line, -1) {
			all = append(all, Citation{ID: id, File: file, Line: i + 1, Test: true})
		}
	}
	return all, nil
}
