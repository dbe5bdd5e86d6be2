package mutants

import (
	"regexp"
	"strings"
)

// Kind says what became of a Mutant.
type Kind byte

// Killed is the good one; the others are faults of the tests or of the list.
const (
	Killed   Kind = iota // a test failed, as it should
	Survived             // no test noticed
	Stale                // the text to change is not in the file (once) any more
	Broken               // what was changed does not compile
	Untested             // the list names no test that there is
	Unsound              // the tests fail without any change
)

// String is the kind in words, as a report has it.
func (k Kind) String() string {
	return [...]string{"killed", "SURVIVED", "does not apply", "does not compile", "no such test", "fails without it"}[k]
}

// Outcome is a Kind with what there is to say: the test that failed, or an error.
type Outcome struct {
	Kind Kind
	Why  string
}

var (
	failed  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	hanging = regexp.MustCompile(`(?s)panic: test timed out.*?running tests:\s+(\S+)`)
	fatal   = regexp.MustCompile(`(?m)^((?:panic|fatal error): .*)`)
	build   = regexp.MustCompile(`(?m)^(\S+\.go:\d+:\d+: .*)`)
	noTests = regexp.MustCompile(`\[no (tests to run|test files)\]`)
)

// judge reads the output of go test.
func judge(output string, ok bool) Outcome {
	switch {
	case noTests.MatchString(output):
		return Outcome{Kind: Untested}
	case ok:
		return Outcome{Kind: Survived}
	case strings.Contains(output, "[build failed]") || strings.Contains(output, "[setup failed]"):
		return Outcome{Broken, first(build, output)}
	}
	if test := first(hanging, output); test != "" {
		return Outcome{Killed, test + ", which hangs"}
	}
	if all := failed.FindAllStringSubmatch(output, -1); len(all) > 0 {
		return Outcome{Killed, outermost(all)}
	}
	if why := first(fatal, output); why != "" {
		return Outcome{Killed, why}
	}
	return Outcome{Killed, "tests that end early"}
}

// outermost is the top-level test of the first failure: go test names a failing test before its failing subtests.
func outermost(all [][]string) string {
	name, _, _ := strings.Cut(all[0][1], "/")
	return name
}

// first is the last submatch of the first match, "" for none.
func first(pattern *regexp.Regexp, text string) string {
	m := pattern.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[len(m)-1]
}
