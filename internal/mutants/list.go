package mutants

import (
	"fmt"
	"io/fs"
	"strings"
)

// Lists is where the lists are, from the root of the repository.
const Lists = "internal/mutants/rules/*.txt"

// What the lines of a list begin with, but the first of a Mutant. "#" begins a comment; an empty line ends a Mutant:
//
//	S08 session/tail.go
//	rule the tail is not read while records are cut out of it
//	- text of the file, as it stands there
//	+ what takes its place; no such line: nothing
//	test TestOne|TestTwo     only when all tests of the package take long
//	in   internal/store      only when they are in another package
const (
	keyComment = "#"
	keyRule    = "rule "
	keyOld     = "- "
	keyNew     = "+ "
	keyTest    = "test "
	keyIn      = "in "
)

// Load reads all lists of the repository whose root is fsys.
func Load(fsys fs.FS) ([]Mutant, error) {
	names, err := fs.Glob(fsys, Lists)
	if err != nil {
		return nil, fmt.Errorf("find lists: %w", err)
	}
	var all []Mutant
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read list: %w", err)
		}
		list, err := parse(name, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, unique(all)
}

func unique(all []Mutant) error {
	seen := make(map[string]string)
	for _, m := range all {
		if at, twice := seen[m.ID]; twice {
			return fmt.Errorf("%s: %s is at %s too", m.Place, m.ID, at)
		}
		seen[m.ID] = m.Place
	}
	return nil
}

// parse reads the text of one list.
func parse(name, text string) (list []Mutant, err error) {
	var m *Mutant // the one that is being read
	end := func() {
		if m != nil && err == nil {
			if err = m.check(); err != nil {
				err = fmt.Errorf("%s: %w", m.Place, err)
			}
			list = append(list, *m)
		}
		m = nil
	}
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, keyComment):
		case strings.TrimSpace(line) == "":
			end()
		case m == nil:
			m = &Mutant{Place: fmt.Sprintf("%s:%d", name, i+1)}
			m.ID, m.File, _ = strings.Cut(line, " ")
			m.File = strings.TrimSpace(m.File)
		case !m.line(line):
			return nil, fmt.Errorf("%s:%d: %q is none of the lines that a mutant has", name, i+1, line)
		}
	}
	end()
	return list, err
}

// line takes in one line after the first.
func (m *Mutant) line(line string) bool {
	for key, to := range map[string]*string{keyRule: &m.Rule, keyTest: &m.Tests, keyIn: &m.Package} {
		if rest, ok := strings.CutPrefix(line, key); ok {
			*to = strings.TrimSpace(rest)
			return true
		}
	}
	for key, to := range map[string]*string{keyOld: &m.Old, keyNew: &m.New} {
		if rest, ok := strings.CutPrefix(line, key); ok {
			if *to != "" {
				*to += "\n"
			}
			*to += rest
			return true
		}
	}
	return false
}
