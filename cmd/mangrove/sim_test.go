package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"mangrove/cmd/internal/cli"
	"mangrove/edge"
	"mangrove/firmware-sim"
	"mangrove/internal/node"
)

// execute runs a command line in this process.
func execute(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	root := newRoot()
	var out, errs bytes.Buffer
	root.SetOut(&out)
	code = cli.Execute(root, args, &errs)
	return out.String(), errs.String(), code
}

func startEdge(t *testing.T) string {
	t.Helper()
	n, err := edge.New(edge.Config{Discovery: edge.Static, Node: node.Config{
		Name: "edge-a", Data: t.TempDir(), Listen: []string{"127.0.0.1:0"},
	}})
	if err == nil {
		err = n.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			t.Errorf("got %v closing the edge", err)
		}
	})
	return n.Addrs().Listen[0]
}

func TestSimReportsAsJSON(t *testing.T) {
	out, errs, code := execute(t, "sim", "--broker", startEdge(t), "--devices", "10", "--duration", "2s", "--rate", "20", "--json")
	var report firmwaresim.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
		t.Fatalf("got exit code %d, %v from %q (%s)", code, err, out, errs)
	}
	if !report.OK() || !report.Settled || report.Total.Acknowledged == 0 || report.Total.Received != report.Total.Published {
		t.Errorf("got report %+v, want everything received", report)
	}
	if !strings.Contains(errs, "10 devices boot") || !strings.Contains(errs, "10/10 online") {
		t.Errorf("got progress %q, want phases and a line per second", errs)
	}
}

func TestSimRefusesWhatCannotBe(t *testing.T) {
	for _, args := range []string{"--devices 0", "--models toaster", "--duration -1s", "--frob", "extra"} {
		if out, errs, code := execute(t, append([]string{"sim"}, strings.Fields(args)...)...); code != 2 || errs == "" || out != "" {
			t.Errorf("sim %s: got exit code %d, %q, %q; want 2 and an error", args, code, out, errs)
		}
	}
}

func TestDemoRefusesWhatCannotBe(t *testing.T) {
	for _, args := range []string{"--cores 0", "--edges 0", "--devices 1", "--duration 1s"} {
		if _, errs, code := execute(t, append([]string{"demo"}, strings.Fields(args)...)...); code != 2 || errs == "" {
			t.Errorf("demo %s: got exit code %d, %q; want 2 and an error", args, code, errs)
		}
	}
}

func TestPubAndSubReadTheirArgumentsAsMosquittoDoes(t *testing.T) {
	addr := strings.TrimPrefix(startEdge(t), "tcp://")
	host, port, _ := strings.Cut(addr, ":")
	if _, errs, code := execute(t, "pub", "-h", host, "-p", port, "-t", "a", "-m", "x", "-r", "-q", "1",
		"-D", "publish", "user-property", "k", "v"); code != 0 {
		t.Fatalf("pub: got exit code %d, %s", code, errs)
	}
	out, errs, code := execute(t, "sub", "-h", host, "-p", port, "-t", "a", "-C", "1", "-W", "5", "-F", "%t %p %P")
	if out != "a x k:v\n" || code != 0 {
		t.Errorf("sub: got %q, exit code %d, %s", out, code, errs)
	}
	if _, errs, code := execute(t, "pub", "-t", "a", "-m", "x", "stray"); code != 2 || !strings.Contains(errs, "stray") {
		t.Errorf("pub: got exit code %d, %q for a stray argument", code, errs)
	}
	for _, command := range []string{"pub", "sub", "sim", "demo"} {
		if out, _, code := execute(t, command, "--help"); code != 0 || !strings.Contains(out, "Exit codes:") || !strings.Contains(out, "mangrove "+command) {
			t.Errorf("%s --help: got exit code %d and %q", command, code, out)
		}
	}
}
