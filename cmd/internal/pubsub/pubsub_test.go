package pubsub

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"mangrove/edge"
	"mangrove/internal/auth"
	"mangrove/internal/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is an edge without an uplink.
func broker(t *testing.T, change func(*node.Config)) (mqtt, ws string) {
	t.Helper()
	cfg := edge.Config{Discovery: edge.Static, Node: node.Config{
		Name: "edge-a", Data: t.TempDir(), Listen: []string{"127.0.0.1:0", "ws://127.0.0.1:0/mqtt"},
	}}
	if change != nil {
		change(&cfg.Node)
	}
	n, err := edge.New(cfg)
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
			t.Errorf("got %v closing the broker", err)
		}
	})
	listen := n.Addrs().Listen
	return listen[0], listen[1]
}

// parse binds and reads flags as the command does.
func parse(t *testing.T, bind func(*pflag.FlagSet), args []string) {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	bind(fs)
	if err := fs.Parse(JoinProperties(args)); err != nil {
		t.Fatalf("parse %q: %v", args, err)
	}
}

// exitCode is what the process would end with.
func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.ExitCode()
	}
	return 1
}

func pub(t *testing.T, stdin string, args ...string) int {
	t.Helper()
	var p Pub
	parse(t, p.Bind, args)
	var stderr bytes.Buffer
	err := p.Run(t.Context(), strings.NewReader(stdin), &stderr)
	if err != nil {
		t.Logf("pub %q: %v", args, err)
	}
	return exitCode(err)
}

// subscriber is a running sub. Its standard error is read for what -d says.
type subscriber struct {
	t    *testing.T
	out  bytes.Buffer
	code chan int
	note chan string
	stop context.CancelFunc
}

// lineWriter gives each write to a channel, for as long as somebody listens.
type lineWriter struct {
	mu    sync.Mutex
	lines chan string
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.lines <- strings.TrimSpace(string(b)):
	default:
	}
	return len(b), nil
}

// sub starts a subscriber; listen = wait until the broker has its subscription.
func sub(t *testing.T, listen bool, args ...string) *subscriber {
	t.Helper()
	var command Sub
	parse(t, command.Bind, append(args, "-d"))
	s := &subscriber{t: t, code: make(chan int, 1), note: make(chan string, 16)}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	t.Cleanup(stop)
	go func() { // ends with the command; wait or t's context ends it
		err := command.Run(ctx, &s.out, &lineWriter{lines: s.note})
		if err != nil {
			t.Logf("sub %q: %v", args, err)
		}
		s.code <- exitCode(err)
	}()
	for listen && s.next() != "subscribed" {
	}
	return s
}

func (s *subscriber) next() string {
	s.t.Helper()
	select {
	case line := <-s.note:
		return line
	case <-time.After(5 * time.Second):
		s.t.Fatal("sub says nothing")
		return ""
	}
}

func (s *subscriber) want(why, out string, code int) {
	s.t.Helper()
	select {
	case got := <-s.code:
		if s.out.String() != out || got != code {
			s.t.Errorf("%s: got %q and exit code %d, want %q and %d", why, s.out.String(), got, out, code)
		}
	case <-time.After(10 * time.Second):
		s.t.Fatalf("%s: sub does not end", why)
	}
}

func at(addr string) []string { return []string{"-L", addr} }

func TestPubReachesSub(t *testing.T) {
	mqtt, ws := broker(t, nil)
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			for _, way := range []string{mqtt, ws} {
				s := sub(t, true, append(at(way), "-t", "a/#", "-v", "-C", "3", "-W", "10", "-q", qos, "-V", version)...)
				if code := pub(t, "one\ntwo\r\nthree", append(at(way), "-t", "a/b", "-l", "-q", qos, "-V", version)...); code != 0 {
					t.Errorf("got exit code %d of pub, want 0", code)
				}
				s.want(version+" at QoS "+qos, "a/b one\na/b two\r\na/b three\n", 0)
			}
		}
	}
}

func TestSubFormatsAndFilters(t *testing.T) {
	mqtt, _ := broker(t, nil)
	pub(t, "", append(at(mqtt), "-t", "a/old", "-m", "x", "-r")...)
	s := sub(t, true, append(at(mqtt), "-t", "a/#", "-T", "a/hidden", "-R", "-C", "2", "-F", "%t|%q|%C|%P", "-N")...)
	pub(t, "", append(at(mqtt), "-t", "a/hidden", "-m", "x")...)
	pub(t, "", append(at(mqtt), "-t", "a/b", "-m", "x", "-D", "publish", "content-type", "text/plain", "-D", "publish", "user-property", "k", "v")...)
	pub(t, "", append(at(mqtt), "-t", "a/c", "-n")...)
	s.want("formatted", "a/b|0|text/plain|k:va/c|0||", 0)
}

func TestRetainedIsSetAndForgotten(t *testing.T) {
	mqtt, _ := broker(t, nil)
	pub(t, "kept", append(at(mqtt), "-t", "r", "-s", "-r", "-q", "1")...)
	sub(t, false, append(at(mqtt), "-t", "r", "-C", "1", "-F", "%p %r")...).want("retained", "kept 1\n", 0)
	pub(t, "", append(at(mqtt), "-t", "r", "-r", "-n", "-q", "1")...)
	sub(t, false, append(at(mqtt), "-t", "r", "-C", "1", "-W", "0.2")...).want("forgotten", "", ExitTimeout)
}

// What -C leaves in a session is there the next time, and what was printed is not.
func TestCountLeavesTheRestInTheSession(t *testing.T) {
	mqtt, _ := broker(t, nil)
	for _, qos := range []string{"1", "2"} {
		session := append(at(mqtt), "-t", "p/#", "-c", "-i", "me"+qos, "-q", qos)
		sub(t, false, append(session, "-E")...).want("subscribe only", "", 0)
		if code := pub(t, "1\n2\n3\n4\n5\n", append(at(mqtt), "-t", "p/x", "-l", "-q", qos)...); code != 0 {
			t.Fatalf("got exit code %d of pub, want 0", code)
		}
		sub(t, false, append(session, "-C", "2")...).want("first two", "1\n2\n", 0)
		sub(t, false, append(session, "-C", "3", "-W", "5")...).want("the rest", "3\n4\n5\n", 0)
		sub(t, false, append(session, "-W", "0.2")...).want("no more", "", ExitTimeout)
	}
}

func TestRefusalsBecomeExitCodes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(file, []byte("sensor:"+auth.Hash("secret")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mqtt, _ := broker(t, func(c *node.Config) { c.PasswordFile = file })
	for _, version := range []string{"31", "311", "5"} {
		if code := pub(t, "", append(at(mqtt), "-t", "a", "-m", "x", "-u", "sensor", "-P", "wrong", "-V", version)...); code != 134 && code != 135 {
			t.Errorf("version %s: got exit code %d for a wrong password, want 134 or 135", version, code)
		}
		if code := pub(t, "", append(at(mqtt), "-t", "a", "-m", "x", "-u", "sensor", "-P", "secret", "-V", version)...); code != 0 {
			t.Errorf("version %s: got exit code %d for the right password, want 0", version, code)
		}
	}
	if code := pub(t, "", append(at(mqtt), "-t", "$SYS/broker/version", "-m", "x", "-q", "1", "-u", "sensor", "-P", "secret")...); code < 128 && code != 1 {
		t.Errorf("got exit code %d for a topic that is not to be written, want a refusal", code)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range []string{"-m x", "-t a", "-t a -m x -n", "-t a -m x -q 3", "-t a -m x -V mqttv6", "-t a -m x -c",
		"-t a -m x -p 99999", "-t a -l --repeat 2", "-t a -m x --will-payload x", "-t a -f /nonexistent", "-t a -m x --cafile /nonexistent",
		"-t a -m x --cert c", "-t a -m x -L gopher://x", "-t a -m x -x soon", "-t a -m x -k -1", "-t a -m x -D publish nonsense 1",
		"-t a -m x -V 311 -D publish content-type x", "-t a -m x --scram", "-t a -m x --scram -u me -V 311"} {
		if code := pub(t, "", strings.Fields(args)...); code != 2 {
			t.Errorf("pub %s: got exit code %d, want 2", args, code)
		}
	}
	for _, args := range []string{"-v", "-t a/#/b", "-t a -C -1", "-t a -F %y", "-t a -T #/x"} {
		sub(t, false, strings.Fields(args)...).want(args, "", 2)
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	addr := "tcp://" + l.Addr().String()
	if code := pub(t, "", append(at(addr), "-t", "a", "-m", "x")...); code != 1 {
		t.Errorf("got exit code %d of pub, want 1", code)
	}
	sub(t, false, append(at(addr), "-t", "a")...).want("nobody there", "", 1)
}

func TestSubEndsWellWhenInterrupted(t *testing.T) {
	mqtt, _ := broker(t, nil)
	s := sub(t, true, append(at(mqtt), "-t", "a")...)
	s.stop()
	s.want("interrupted", "", 0)
}

// brokenPipe is a standard output that somebody closed.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestSubEndsWhenItCannotPrint(t *testing.T) {
	mqtt, _ := broker(t, nil)
	pub(t, "", append(at(mqtt), "-t", "a", "-m", "x", "-r", "-q", "1")...)
	var s Sub
	parse(t, s.Bind, append(at(mqtt), "-t", "a"))
	if err := s.Run(t.Context(), brokenPipe{}, io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the error of the output", err)
	}
}
