package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"mangrove/cmd/internal/cli"
)

// The gateway's binary stays small because it does not have these.
func TestLeavesOutWhatAGatewayDoesNotNeed(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	linked := "\n" + string(out)
	for _, p := range []string{"mangrove/core", "mangrove/firmware-sim", "mangrove/internal/sim"} {
		if strings.Contains(linked, "\n"+p+"\n") {
			t.Errorf("mangrove-edge links %s", p)
		}
	}
}

func TestHasTheCommandsOfAGateway(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"version"}, {"config", "default"}, {"config", "default", "edge"}, {"data", "backup", "--help"}, {"status", "--help"}, {"session", "remove", "--help"}, {"link", "forget", "--help"}} {
		var out, errs bytes.Buffer
		root := newRoot()
		root.SetOut(&out)
		if code := cli.Execute(root, args, &errs); code != 0 || !strings.Contains(out.String(), "edge") {
			t.Errorf("%q: got exit code %d, %q %q", args, code, out.String(), errs.String())
		}
	}
	var errs bytes.Buffer
	if code := cli.Execute(newRoot(), []string{"config", "default", "core"}, &errs); code != cli.ExitUsage {
		t.Errorf("config default core: got exit code %d, want %d", code, cli.ExitUsage)
	}
}
