package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/cli"
)

// asCommand makes the test binary be mangrove.
const asCommand = "MANGROVE_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		failSyncs()
		os.Exit(cli.Execute(newRoot(), os.Args[1:], os.Stderr))
	}
	os.Exit(m.Run())
}

// process is a running mangrove.
type process struct {
	*exec.Cmd
	t     *testing.T
	log   io.ReadCloser
	lines *bufio.Scanner
}

func run(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), t: t}
	p.Env = append(os.Environ(), asCommand+"=1")
	var err error
	if p.log, err = p.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(20*time.Second, func() { p.Process.Kill() })
	t.Cleanup(func() {
		stuck.Stop()
		p.Process.Kill() // the error says that it has ended already
		p.Wait()
	})
	p.lines = bufio.NewScanner(p.log)
	return p
}

// end waits for the process and tells what it wrote since, and its exit code.
func (p *process) end() (stderr string, code int) {
	var b strings.Builder
	for p.lines.Scan() {
		b.WriteString(p.lines.Text() + "\n")
	}
	p.Wait() // the code tells
	return b.String(), p.ProcessState.ExitCode()
}

type readyLine struct {
	Msg, Node, Role, Gossip, HTTP, Data, Version string
	Listen                                       []string
}

func (p *process) ready() (r readyLine) {
	p.t.Helper()
	var seen []string
	for p.lines.Scan() {
		seen = append(seen, p.lines.Text())
		if json.Unmarshal(p.lines.Bytes(), &r) == nil && r.Msg == "ready" {
			return r
		}
	}
	p.t.Fatalf("ended before it was ready:\n%s", strings.Join(seen, "\n"))
	return r
}

func TestReadyLineIsTrue(t *testing.T) {
	for _, role := range []string{"edge", "core"} {
		dir := filepath.Join(t.TempDir(), "data")
		args := []string{role, "--node", "n-1", "--data", dir, "--listen", "127.0.0.1:0", "--listen", "ws://127.0.0.1:0", "--http", "127.0.0.1:0", "--log-format", "json"}
		if role == "core" {
			args = append(args, "--gossip", "127.0.0.1:0")
		}
		p := run(t, args...)
		r := p.ready()
		if r.Node != "n-1" || r.Role != role || r.Data != dir || r.Version == "" || (r.Gossip == "") != (role == "edge") {
			t.Errorf("%s: got %+v", role, r)
		}
		if len(r.Listen) != 2 || !strings.HasPrefix(r.Listen[0], "tcp://127.0.0.1:") || !strings.HasPrefix(r.Listen[1], "ws://127.0.0.1:") ||
			slices.ContainsFunc(r.Listen, func(s string) bool { return strings.HasSuffix(s, ":0") }) {
			t.Errorf("%s: got listen %q, want both real addresses", role, r.Listen)
		}
		resp, err := http.Get("http://" + r.HTTP + "/readyz")
		if err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: readyz got %d when the ready line was there, want 200", role, resp.StatusCode)
		}
		p.Process.Signal(syscall.SIGTERM)
		if rest, code := p.end(); code != 0 || strings.Contains(rest, `"ready"`) {
			t.Errorf("%s: got exit code %d after SIGTERM, want 0, and one ready line; log:\n%s", role, code, rest)
		}
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edge.toml")
	if err := os.WriteFile(file, []byte("role = \"edge\"\n[link]\ndiscovery = \"gossip\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"edge", "--listen", "0.0.0.0:0"}, 2, "--listen: listen: 0.0.0.0:0 is reachable from other machines"},
		{[]string{"edge", "--nodes", "x"}, 2, "unknown flag: --nodes (see mangrove edge --help)"},
		{[]string{"edge", "-c", file}, 2, file + ":3:1: link.discovery: gossip needs gossip.address"},
		{[]string{"core", "-c", file}, 2, file + ":1:1: role: found \"edge\": want one of core"},
		{[]string{"config", "check", file}, 1, file + ":3:1: link.discovery: gossip needs gossip.address"},
		{[]string{"core", "--gossip", ""}, 2, "--gossip: gossip.address: is empty"},
		{[]string{"edge", "--http", "", "--listen", "127.0.0.1:0", "--data", file}, 1, "is not a folder"},
		{[]string{"edge", "--http", "", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"}, 2, "--tls-cert: "},
	}
	for _, c := range cases {
		stderr, code := run(t, c.args...).end()
		if code != c.code || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%q: got exit code %d and\n%swant %d and %q", c.args, code, stderr, c.code, c.stderr)
		}
	}
}

func TestEveryCommandTeachesByExample(t *testing.T) {
	for _, c := range newRoot().Commands() {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example or no short description", c.Name())
		}
		wantArgs(t, c)
	}
}

// wantArgs wants the arguments of c and of the commands below it to be checked: cobra takes any where Args is not set.
func wantArgs(t *testing.T, c *cobra.Command) {
	t.Helper()
	if c.Args == nil && c.RunE != nil && !c.DisableFlagParsing {
		t.Errorf("%s does not say which arguments it takes: set Args", c.CommandPath())
	}
	for _, sub := range c.Commands() {
		wantArgs(t, sub)
	}
}
