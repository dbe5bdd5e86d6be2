package mutants

import (
	"fmt"
	"path"
	"strings"
)

// Mutant is one rule, and the change to one file that breaks it.
type Mutant struct {
	ID      string // names it, unique in all lists
	File    string // to be changed, from the root of the repository
	Rule    string // in words
	Old     string // stands in File exactly once
	New     string // takes its place
	Tests   string // pattern of the tests that are to fail, as go test -run takes it; "" = all of Package
	Package string // whose tests they are: a folder from the root of the repository; that of File unless the list says another

	Place string // where it is listed, file:line
}

// Apply returns src, the text of File, with the change. It fails when Old is not there exactly once.
func (m *Mutant) Apply(src string) (string, error) {
	if n := strings.Count(src, m.Old); n != 1 {
		return "", fmt.Errorf("the text to change stands %d times in %s, want once", n, m.File)
	}
	return strings.Replace(src, m.Old, m.New, 1), nil
}

// Select returns those of list whose ID begins with one of the words of want, which spaces or commas separate; all when there is none.
func Select(list []Mutant, want string) (some []Mutant) {
	words := strings.FieldsFunc(want, func(r rune) bool { return r == ' ' || r == ',' })
	for _, m := range list {
		if len(words) == 0 || m.named(words) {
			some = append(some, m)
		}
	}
	return some
}

func (m *Mutant) named(words []string) bool {
	for _, word := range words {
		if strings.HasPrefix(m.ID, word) {
			return true
		}
	}
	return false
}

// check completes a Mutant that was read, and tells what is missing.
func (m *Mutant) check() error {
	switch {
	case m.ID == "" || m.File == "":
		return fmt.Errorf("want an id and a file in the first line")
	case m.Rule == "":
		return fmt.Errorf("%s: want a line that begins with %q", m.ID, keyRule)
	case m.Old == "":
		return fmt.Errorf("%s: want a line that begins with %q", m.ID, keyOld)
	case m.Old == m.New:
		return fmt.Errorf("%s changes nothing", m.ID)
	}
	if m.Package == "" {
		m.Package = path.Dir(m.File)
	}
	return nil
}
