package e2e

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// long asks for the long forms of the fault tests: `make test-faults` sets it.
var long = os.Getenv("MANGROVE_FAULTS") == "long"

// scaled is the short form's number, or the long form's.
func scaled[N any](short, longer N) N {
	if long {
		return longer
	}
	return short
}

// randomly passes a random time: the moments of faults are meant to be random.
func randomly(from, to time.Duration) {
	<-time.After(from + rand.N(to-from))
}

// needRoot skips a test that needs root and these commands.
func needRoot(t *testing.T, commands ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			t.Skipf("%s is not installed (`make test-faults` as root installs it on Debian)", c)
		}
	}
}

// system runs a command of the operating system that has to succeed.
func system(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// systemOrSkip is system for what a kernel may not have.
func systemOrSkip(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("this machine cannot %s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
