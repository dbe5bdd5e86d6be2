package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mangrove/cmd/internal/config"
	"mangrove/internal/node"
	"mangrove/internal/store"
)

// asNode makes the test binary run a fake node instead of the tests.
const asNode = "MANGROVE_TEST_NODE"

func TestMain(m *testing.M) {
	if kind := os.Getenv(asNode); kind != "" {
		os.Exit(runFake(kind))
	}
	os.Exit(m.Run())
}

func runFake(kind string) int {
	log := NewLogger(os.Stderr, "info", "text")
	err := Run(&fake{kind: kind, failed: make(chan error, 1)}, config.New(config.Edge), log)
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return ExitClean
	case errors.As(err, &coded):
		return coded.ExitCode()
	}
	return 99
}

// fake is a Node that does one thing wrong.
type fake struct {
	kind   string
	failed chan error
}

func (f *fake) Start(ctx context.Context) error {
	switch f.kind {
	case "no start":
		return errors.New("no room")
	case "read-only disk":
		return fmt.Errorf("start store: %w", &os.PathError{Op: "open", Path: "lock", Err: syscall.EROFS})
	case "bad setting":
		return node.Fault("listen", "cannot be")
	case "slow start":
		os.Stderr.WriteString("starting\n")
		<-ctx.Done()
		return ctx.Err()
	case "dead disk":
		f.failed <- errors.New("sync failed")
	}
	return nil
}

func (f *fake) Failed() <-chan error { return f.failed }

func (f *fake) Addrs() node.Addrs {
	return node.Addrs{Node: "n", Listen: []string{"tcp://127.0.0.1:1"}}
}

func (f *fake) Close(context.Context) error {
	switch f.kind {
	case "no stop":
		return errors.New("did not close")
	case "disk breaks":
		return fmt.Errorf("close store: %w", store.ErrFatal)
	case "slow stop":
		os.Stderr.WriteString("closing\n")
		select {} // until the second signal ends the process
	}
	return nil
}

func TestRunTellsHowItEnded(t *testing.T) {
	cases := []struct {
		kind  string
		after []string // a signal is sent when each of these was logged
		code  int
	}{
		{"good", []string{"msg=ready"}, ExitClean},
		{"no start", nil, ExitFailed},
		{"read-only disk", nil, ExitStorage},
		{"bad setting", nil, ExitUsage},
		{"dead disk", nil, ExitStorage},
		{"no stop", []string{"msg=ready"}, ExitFailed},
		{"disk breaks", []string{"msg=ready"}, ExitStorage},
		{"slow start", []string{"starting"}, ExitClean},
		{"slow stop", []string{"msg=ready", "closing"}, ExitForced},
	}
	for _, c := range cases {
		t.Run(c.kind, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asNode+"="+c.kind)
			log, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stuck := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
			defer stuck.Stop()
			lines := bufio.NewScanner(log)
			for _, want := range c.after {
				for lines.Scan() && !strings.Contains(lines.Text(), want) {
				}
				cmd.Process.Signal(syscall.SIGTERM)
			}
			io.Copy(io.Discard, log)
			cmd.Wait() // the code tells
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("got exit code %d, want %d", got, c.code)
			}
		})
	}
}

func TestServiceManagerHearsOfIt(t *testing.T) {
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asNode+"=good", "NOTIFY_SOCKET="+addr.Name)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	b := make([]byte, 64)
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		n, err := conn.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("got %q, %v, want %q", b[:n], err, want)
		}
		cmd.Process.Signal(syscall.SIGTERM)
	}
}
