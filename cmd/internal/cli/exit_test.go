package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/config"
)

func noFault(*config.Config) error { return nil }

// run executes a small tree of commands.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	root := Group(&cobra.Command{Use: "mangrove"})
	fails := func(name string, err error) *cobra.Command {
		return &cobra.Command{Use: name, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return err }}
	}
	root.AddCommand(
		fails("fine", nil),
		fails("broken", errors.New("it broke")),
		fails("coded", WithCode(27, errors.New("nothing heard"))),
		fails("two", errors.Join(errors.New("one fault"), errors.New("another"))),
		NewConfig("mangrove", Checks{config.Edge: noFault, config.Core: noFault}),
		NewVersion("mangrove"),
	)
	var out, errs bytes.Buffer
	root.SetOut(&out)
	code = Execute(root, args, &errs)
	return out.String(), errs.String(), code
}

func TestExitCodes(t *testing.T) {
	cases := []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"fine"}, ExitClean, ""},
		{[]string{"broken"}, ExitFailed, "mangrove: it broke\n"},
		{[]string{"coded"}, 27, "mangrove: nothing heard\n"},
		{[]string{"two"}, ExitFailed, "mangrove: one fault\nmangrove: another\n"},
		{[]string{"fine", "surplus"}, ExitUsage, "unknown command \"surplus\""},
		{[]string{"fine", "--no-such"}, ExitUsage, "unknown flag: --no-such (see mangrove fine --help)"},
		{[]string{"nonsense"}, ExitUsage, "unknown command \"nonsense\""},
		{[]string{"config", "nonsense"}, ExitUsage, "unknown command \"nonsense\""},
		{nil, ExitClean, ""},
		{[]string{"config", "check"}, ExitUsage, "accepts 1 arg(s)"},
		{[]string{"config", "default", "middle"}, ExitUsage, "invalid argument \"middle\""},
		{[]string{"config", "check", "/nonexistent.toml"}, ExitFailed, "no such file"},
	}
	for _, c := range cases {
		_, stderr, code := run(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%v: got exit code %d, %q, want %d, %q", c.args, code, stderr, c.code, c.stderr)
		}
	}
}

func TestConfigDefaultPassesConfigCheck(t *testing.T) {
	for _, role := range []string{"edge", "core"} {
		text, _, code := run(t, "config", "default", role)
		path := filepath.Join(t.TempDir(), "node.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil || code != 0 {
			t.Fatalf("config default %s: got exit code %d, %v", role, code, err)
		}
		out, stderr, code := run(t, "config", "check", path)
		if code != 0 || !strings.Contains(out, "ok ("+role+")") {
			t.Errorf("config check of the default %s: got %d, %q %q, want ok", role, code, out, stderr)
		}
	}
}

func TestConfigCheckTellsEveryFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.toml")
	os.WriteFile(path, []byte("role = \"edge\"\nnope = 1\n[log]\nlevel = 5\n"), 0o600)
	_, stderr, code := run(t, "config", "check", path)
	if code != ExitFailed || !strings.Contains(stderr, ":2:1: unknown key nope") || !strings.Contains(stderr, ":4:1: log.level") {
		t.Errorf("got %d, %q, want both faults and exit code 1", code, stderr)
	}
}

func TestVersion(t *testing.T) {
	if out, _, code := run(t, "version"); code != 0 || !strings.HasPrefix(out, "mangrove ") {
		t.Errorf("got %d, %q", code, out)
	}
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}}
	if got := fromBuild(info); got != "devel-0123456789ab+changes" {
		t.Errorf("got %q, want the revision", got)
	}
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log := NewLogger(&b, "warn", "json")
	log.Info("quiet")
	log.Warn("loud", "n", 1)
	if got := b.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud","n":1`) {
		t.Errorf("got %q, want the warning alone as JSON", got)
	}
	b.Reset()
	NewLogger(&b, "debug", "text").Debug("all")
	if got := b.String(); !strings.Contains(got, "msg=all") {
		t.Errorf("got %q, want text", got)
	}
}
