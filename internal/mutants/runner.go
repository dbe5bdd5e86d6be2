package mutants

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Runner runs the tests of mutants.
type Runner struct {
	Root     string        // of the repository
	Parallel int           // mutants at a time
	Timeout  time.Duration // of the tests of one; who needs longer hangs, which is a failure
	Out      io.Writer     // one line for each mutant, as they end
}

// Result is one Mutant's Outcome and how long that took.
type Result struct {
	Mutant  Mutant
	Outcome Outcome
	Took    time.Duration
}

// Run tries all of list and returns the results that are not Killed. First it runs the same tests without any change: a test that
// fails anyway shows nothing. It returns early when ctx ends.
func (r *Runner) Run(ctx context.Context, list []Mutant) (bad []Result) {
	unsound := r.sound(ctx, list)
	work := make(chan Mutant)
	results := make(chan Result)
	var workers sync.WaitGroup
	for range max(1, r.Parallel) {
		workers.Go(func() { // ends with the list
			for m := range work {
				results <- r.try(ctx, m, unsound[m.Package])
			}
		})
	}
	go func() { // ends with the list; Run waits for it by reading results
		for _, m := range list {
			work <- m
		}
		close(work)
		workers.Wait()
		close(results)
	}()
	for res := range results {
		if ctx.Err() != nil {
			continue
		}
		r.report(res)
		if res.Outcome.Kind != Killed {
			bad = append(bad, res)
		}
	}
	return bad
}

func (r *Runner) report(res Result) {
	m, o := res.Mutant, res.Outcome
	what := o.Kind.String()
	if o.Kind == Killed {
		what = "killed by " + o.Why
	} else if o.Why != "" {
		what += ": " + o.Why
	}
	fmt.Fprintf(r.Out, "%-5s %-50s %5.1fs  %s: %s\n", m.ID, what, res.Took.Seconds(), m.File, m.Rule)
}

// soundTimes is how much longer than those of one mutant the tests of a package may take: they are those of all its mutants.
const soundTimes = 5

// sound runs the tests of each package without any change, and returns the packages that fail.
func (r *Runner) sound(ctx context.Context, list []Mutant) map[string]string {
	unsound := make(map[string]string)
	for pkg, tests := range testsOf(list) {
		if out, ok := r.test(ctx, pkg, tests, "", soundTimes*r.Timeout); !ok && ctx.Err() == nil {
			unsound[pkg] = judge(out, ok).Why
		}
	}
	return unsound
}

// testsOf gathers what is to be run of each package: all of it when one of its mutants names no test.
func testsOf(list []Mutant) map[string]string {
	tests := make(map[string]string)
	for _, m := range list {
		was, known := tests[m.Package]
		switch {
		case !known:
			tests[m.Package] = m.Tests
		case was == "" || m.Tests == "":
			tests[m.Package] = ""
		default:
			tests[m.Package] = was + "|" + m.Tests
		}
	}
	return tests
}

// try runs the tests of one mutant.
func (r *Runner) try(ctx context.Context, m Mutant, unsound string) (res Result) {
	begin := time.Now()
	res.Mutant = m
	defer func() { res.Took = time.Since(begin) }()
	if unsound != "" {
		res.Outcome = Outcome{Unsound, unsound}
		return res
	}
	overlay, err := r.overlay(&m)
	if err != nil {
		res.Outcome = Outcome{Stale, err.Error()}
		return res
	}
	defer os.RemoveAll(filepath.Dir(overlay))
	res.Outcome = judge(r.test(ctx, m.Package, m.Tests, overlay, r.Timeout))
	return res
}

// overlay writes the changed file into a temporary folder, and beside it what makes go test take it for the one in the repository.
func (r *Runner) overlay(m *Mutant) (name string, err error) {
	file, err := filepath.Abs(filepath.Join(r.Root, filepath.FromSlash(m.File)))
	if err != nil {
		return "", fmt.Errorf("find file: %w", err)
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	changed, err := m.Apply(string(src))
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: filepath.Join(dir, "changed.go")}})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "changed.go"), []byte(changed), 0o600)
	}
	name = filepath.Join(dir, "overlay.json")
	if err == nil {
		err = os.WriteFile(name, replace, 0o600)
	}
	return name, err
}

// test runs tests, all when it is "", of a package and returns what go test printed.
func (r *Runner) test(ctx context.Context, pkg, tests, overlay string, timeout time.Duration) (output string, ok bool) {
	args := []string{"test", "-count=1", "-vet=off", "-failfast", "-timeout", timeout.String()}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if tests != "" {
		args = append(args, "-run", "^("+tests+")$")
	}
	args = append(args, "./"+pkg)
	if r.hasRapid(pkg) {
		args = append(args, "-rapid.nofailfile") // else rapid notes in the package's testdata what failed
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.Root
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test ends the tests then
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// hasRapid reports whether tests of a package know the flags of pgregory.net/rapid.
func (r *Runner) hasRapid(pkg string) bool {
	names, _ := filepath.Glob(filepath.Join(r.Root, pkg, "*_test.go"))
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), `"pgregory.net/rapid"`) {
			return true
		}
	}
	return false
}
