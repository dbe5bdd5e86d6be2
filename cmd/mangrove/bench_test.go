package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"mangrove/internal/bench"
)

// TestBenchMeasuresAnEdge and TestBenchMeasuresSessions run every scenario against a whole edge.
func TestBenchMeasuresAnEdge(t *testing.T) {
	measureEdge(t,
		"p2p -n 3 -q 0 -d 100ms --warm-up 0",
		"p2p -n 3 -q 2 -d 100ms --warm-up 0 --mqtt 5",
		"p2p -n 2 -q 1 -d 100ms --warm-up 0 --rate 500",
		"p2p -n 2 -q 1 -d 100ms --warm-up 0 --deaf 1",
		"fanout -n 20 -d 100ms --warm-up 0",
		"fanin -n 20 -q 1 -d 100ms --warm-up 0",
		"wild -n 500 -d 100ms --warm-up 0",
		"match -n 500 -d 100ms --warm-up 0",
		"retained -n 300 -d 100ms --warm-up 0",
		"wills -n 100 -q 1",
		"conns -n 50",
		"conns -n 50 --per-process 20 --mqtt 5",
	)
}

func TestBenchMeasuresSessions(t *testing.T) {
	measureEdge(t,
		"churn -n 1000 -d 100ms --warm-up 0",
		"offline -n 300 --sessions 2 --publishers 3",
		"offline -n 300 --sessions 2 --publishers 3 -q 2 --mqtt 5",
		"offline -n 300 --keep",
		"durable -n 3 -d 100ms --warm-up 0",
		"sleep -n 50",
		"storm -n 50 --mqtt 5",
	)
}

func measureEdge(t *testing.T, cases ...string) {
	if runtime.GOOS != "linux" {
		t.Skip("the load generator runs on Linux only")
	}
	config := filepath.Join(t.TempDir(), "edge.toml")
	if err := os.WriteFile(config, []byte("role = \"edge\"\nlink.cores = []\nlink.up = []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	edge := run(t, "edge", "-c", config, "--node", "n", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--http", "", "--log-format", "json")
	addr := strings.TrimPrefix(edge.ready().Listen[0], "tcp://")
	for _, c := range cases {
		args := append([]string{"bench"}, strings.Fields(c)...)
		args = append(args, "--broker", addr, "--pid", strconv.Itoa(edge.Process.Pid), "--json", "--quiet")
		r := benchResult(t, args)
		what := "messages"
		if r.ConnectsPerSecond > 0 {
			r.Messages, what = 1, "connections"
		}
		if r.Messages == 0 || r.Lost+r.Duplicated+r.Reordered+r.Unacknowledged+r.Refused > 0 || !r.Measured || r.PeakRSS == 0 {
			t.Errorf("%s: got %+v, want %s and nothing wrong, with the broker measured", c, r, what)
		}
	}
}

func benchResult(t *testing.T, args []string) (r bench.Result) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return r
}

func TestBenchRefuses(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"p2p --mqtt 3", 2, "--mqtt: found \"3\""},
		{"durable -q 0", 2, "needs QoS 1 or 2"},
		{"conns --qos 1", 2, "unknown flag"},
		{"matrix --form slow", 2, "want quick or full"},
		{"p2p -b 127.0.0.1:1", 1, "connection refused"},
	} {
		stderr, code := run(t, append([]string{"bench"}, strings.Fields(c.args)...)...).end()
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: got exit code %d and %q, want %d and %q", c.args, code, stderr, c.code, c.want)
		}
	}
}

func TestEveryScenarioTeachesByExample(t *testing.T) {
	for _, c := range newBenchCommand().Commands() {
		if c.Example == "" || c.Short == "" {
			t.Errorf("bench %s has no example or no short description", c.Name())
		}
	}
}
