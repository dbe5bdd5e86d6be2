// Package e2e runs whole nodes as real processes and shows the promises of the README. Tests only.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// raced asks for nodes built under the race detector, whose findings fail the tests.
var raced = os.Getenv("MANGROVE_RACE") == "1"

// binary is the command under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mangrove-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make folder for the binary:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "mangrove")
	if out, err := build().CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build mangrove: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// build makes the command.
func build() *exec.Cmd {
	args, cgo := []string{"build", "-o", binary}, "CGO_ENABLED=0"
	if raced {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "mangrove/cmd/mangrove")...)
	cmd.Env = append(os.Environ(), cgo)
	return cmd
}
