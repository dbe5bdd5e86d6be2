package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// foreign are names in the documents that are no names of ours, and whose they are.
var foreign = map[string]string{
	"db.Batch":        "bbolt",
	"NoSync":          "bbolt",
	"Tx.Commit":       "bbolt",
	"File.WriteAt":    "package os",
	"File.Truncate":   "package os",
	"RawConn.Read":    "package syscall",
	"syscall.Errno":   "package syscall",
	"syscall.RawConn": "package syscall",
	"sync.Map":        "package sync",
	"fdatasync":       "Linux",
	"fallocate":       "Linux",
	"cobra.Command":   "spf13/cobra",
	"VmRSS":           "Linux",
	"VmHWM":           "Linux",
	"RssAnon":         "Linux",
	"RssFile":         "Linux",
}

// source is what the Go files of this repository declare.
type source struct {
	files map[string][]string // by path: functions, types, "Type.member"s, constants and variables
	words map[string]bool     // identifiers, words of strings, names of folders
	pairs map[string]bool     // "package.Name" and "Type.member"
}

// parse reads every Go file.
func parse(t *testing.T) *source {
	t.Helper()
	s := &source{files: map[string][]string{}, words: map[string]bool{}, pairs: map[string]bool{}}
	err := filepath.WalkDir("../..", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		s.add(strings.TrimPrefix(filepath.ToSlash(name), "../../"), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// add takes in one file.
func (s *source) add(name string, file *ast.File) {
	declare := func(names ...string) {
		for _, n := range names {
			s.files[name] = append(s.files[name], n)
			if s.pairs[file.Name.Name+"."+n] = true; strings.Contains(n, ".") {
				s.pairs[n] = true
			}
		}
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			declare(receiver(f) + f.Name.Name)
			continue
		}
		for _, spec := range d.(*ast.GenDecl).Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					declare(n.Name)
				}
			case *ast.TypeSpec:
				declare(spec.Name.Name)
				declare(members(spec)...)
			}
		}
	}
	s.words[file.Name.Name], s.words[path.Base(path.Dir(name))] = true, true
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			s.words[n.Name] = true
		case *ast.BasicLit: // names of metrics, of fields in JSON, values in the configuration
			for _, word := range anyWord.FindAllString(n.Value, -1) {
				s.words[word] = true
			}
		}
		return true
	})
}

// receiver is "Type." of a method, "" of a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	expr := f.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name + "."
		default:
			return ""
		}
	}
}

// members are the fields of a struct and the methods of an interface.
func members(spec *ast.TypeSpec) (names []string) {
	var fields *ast.FieldList
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		fields = typ.Fields
	case *ast.InterfaceType:
		fields = typ.Methods
	default:
		return nil
	}
	for _, f := range fields.List {
		for _, n := range f.Names {
			names = append(names, spec.Name.Name+"."+n.Name)
		}
	}
	return names
}

// whereIs lists the files that declare name.
func (s *source) whereIs(name string) (files []string) {
	for file, names := range s.files {
		if slices.Contains(names, name) {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	return files
}

// guides are the documents that tell a newcomer where things are.
func guides(t *testing.T) (docs []string) {
	t.Helper()
	docs = []string{"docs/architecture.md", "docs/recipes.md"}
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "DESIGN.md" {
			docs = append(docs, strings.TrimPrefix(filepath.ToSlash(name), "../../"))
		}
		return err
	})
	if err != nil || len(docs) < 10 {
		t.Fatalf("got %d documents, error %v", len(docs), err)
	}
	return docs
}

var (
	fileName   = regexp.MustCompile(`([\w./-]*\w\.(?:go|md|txt))\b(?::(\w+(?:\.\w+)?))?`)
	anyWord    = regexp.MustCompile(`\w+`)
	quoted     = regexp.MustCompile("`([^`\n]+)`")
	identifier = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,2}$`)
)

// A file that a guide names is there, beside it or below the root, and declares what the guide says after the colon.
func TestFilesInGuidesExist(t *testing.T) {
	s := parse(t)
	for _, doc := range guides(t) {
		for _, m := range fileName.FindAllStringSubmatch(read(t, doc), -1) {
			name, symbol := m[1], m[2]
			if beside := path.Join(path.Dir(doc), name); exists(beside) {
				name = beside
			}
			switch {
			case !exists(name):
				t.Errorf("%s names the file %s, which is not there", doc, m[1])
			case symbol != "" && !slices.Contains(s.files[name], symbol):
				t.Errorf("%s names %s in %s; it is in %q", doc, symbol, name, s.whereIs(symbol))
			}
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join("../..", name))
	return err == nil
}

// A name of the code that a guide shows as code is one: an identifier, a test, a folder, or a key of the configuration.
func TestNamesInGuidesExist(t *testing.T) {
	s, used := parse(t), map[string]bool{}
	for _, key := range find(`\{name: "([a-z_.]+)"`, read(t, "cmd/internal/config/keys.go")) {
		s.pairs[key], s.words[key] = true, true
	}
	for _, doc := range guides(t) {
		for _, m := range quoted.FindAllStringSubmatch(read(t, doc), -1) {
			name := strings.TrimSuffix(m[1], "()")
			switch {
			case fileName.MatchString(name): // TestFilesInGuidesExist
			case foreign[name] != "":
				used[name] = true
			case identifier.MatchString(name) && !s.knows(name) && !exists(name):
				t.Errorf("%s speaks of `%s`, which no Go file here has; if it is not ours, say so in foreign", doc, m[1])
			case folderName.MatchString(name) && !exists(name) && !exists(path.Join(path.Dir(doc), name)):
				t.Errorf("%s speaks of `%s`, which is not there", doc, m[1])
			}
		}
	}
	for name := range foreign {
		if !used[name] {
			t.Errorf("no guide speaks of %s: take it out of foreign", name)
		}
	}
}

// folderName is a path of ours without a file's ending.
var folderName = regexp.MustCompile(`^(bridge|cmd|core|docs|edge|firmware-sim|internal|mqtt|retain|session)/[\w/-]*$`)

// knows reports whether name, of up to three parts, is declared: two parts next to each other have to belong together.
func (s *source) knows(name string) bool {
	parts := strings.Split(name, ".")
	if len(parts) == 1 {
		return s.words[name]
	}
	for i := range parts[1:] {
		if !s.pairs[parts[i]+"."+parts[i+1]] {
			return false
		}
	}
	return true
}
