package mutants

import (
	"strings"
	"testing"
	"testing/fstest"
)

const goodList = `# A comment.

A01 x/y.go
rule the first rule
- 	if a {
- 		b()
+ 	if !a {
+ 		b()
test TestA|TestB
in z

A02 x/y.go
rule the second rule
# a comment in between
- c()
`

func TestLoad(t *testing.T) {
	list, err := Load(fstest.MapFS{"internal/mutants/rules/x.txt": {Data: []byte(goodList)}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Mutant{
		{"A01", "x/y.go", "the first rule", "\tif a {\n\t\tb()", "\tif !a {\n\t\tb()", "TestA|TestB", "z", "internal/mutants/rules/x.txt:3"},
		{"A02", "x/y.go", "the second rule", "c()", "", "", "x", "internal/mutants/rules/x.txt:12"},
	}
	if len(list) != 2 || list[0] != want[0] || list[1] != want[1] {
		t.Errorf("got %+v, want %+v", list, want)
	}
}

func TestListsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"A01\nrule r\n- a\n":                               "x.txt:1: want an id and a file",
		"\nA01 f.go\n- a\n":                                `x.txt:2: A01: want a line that begins with "rule "`,
		"A01 f.go\nrule r\n+ a\n":                          `x.txt:1: A01: want a line that begins with "- "`,
		"A01 f.go\nrule r\n- a\n+ a":                       "x.txt:1: A01 changes nothing",
		"A01 f.go\nrule r\n- a\nwhy not\n":                 `x.txt:4: "why not" is none of the lines`,
		"A01 f.go\nrule r\n- a\n\nA01 g.go\nrule r\n- a\n": "x.txt:5: A01 is at internal/mutants/rules/x.txt:1 too",
	} {
		_, err := Load(fstest.MapFS{"internal/mutants/rules/x.txt": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestApply(t *testing.T) {
	m := Mutant{File: "f.go", Old: "b", New: "x"}
	if got, err := m.Apply("abc"); got != "axc" || err != nil {
		t.Errorf("got %q, %v, want axc", got, err)
	}
	for _, src := range []string{"", "abcb"} {
		if _, err := m.Apply(src); err == nil {
			t.Errorf("%q: got no error, want one: the text is not there once", src)
		}
	}
}

func TestSelect(t *testing.T) {
	list := []Mutant{{ID: "A01"}, {ID: "A02"}, {ID: "B01"}, {ID: "B11"}}
	for want, ids := range map[string]string{"": "A01 A02 B01 B11", "A": "A01 A02", "A02,B0": "A02 B01", "B01 B11": "B01 B11", "C": ""} {
		var got []string
		for _, m := range Select(list, want) {
			got = append(got, m.ID)
		}
		if strings.Join(got, " ") != ids {
			t.Errorf("%q: got %q, want %q", want, got, ids)
		}
	}
}
